// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/container/page_codec.h"

#include <libdeflate.h>
#include <lzo/lzo1x.h>
#include <snappy.h>
#include <zstd.h>

#include <cstring>

#include "vmcore/dump.h"

namespace dmaudit {
namespace {

struct FreeInflate {
  void operator()(libdeflate_decompressor* d) const { libdeflate_free_decompressor(d); }
};
struct FreeZstd {
  void operator()(ZSTD_DCtx* d) const { ZSTD_freeDCtx(d); }
};

bool DecodeLzo(std::span<const std::byte> stored, std::span<std::byte> page) {
  lzo_uint size = page.size();
  const int result =
      lzo1x_decompress_safe(reinterpret_cast<const unsigned char*>(stored.data()), stored.size(),
                            reinterpret_cast<unsigned char*>(page.data()), &size, nullptr);
  return result == LZO_E_OK && size == page.size();
}

bool DecodeSnappy(std::span<const std::byte> stored, std::span<std::byte> page) {
  // RawUncompress takes the size of its output from the data: look at it first.
  const char* in = reinterpret_cast<const char*>(stored.data());
  size_t size = 0;
  return snappy::GetUncompressedLength(in, stored.size(), &size) && size == page.size() &&
         snappy::RawUncompress(in, stored.size(), reinterpret_cast<char*>(page.data()));
}

}  // namespace

struct PageDecoder::State {
  std::unique_ptr<libdeflate_decompressor, FreeInflate> inflate;
  std::unique_ptr<ZSTD_DCtx, FreeZstd> zstd;
};

PageDecoder::PageDecoder() : state_(std::make_unique<State>()) {}
PageDecoder::~PageDecoder() = default;

bool PageDecoder::Decode(PageCodec codec, std::span<const std::byte> stored,
                         std::span<std::byte> page) {
  switch (codec) {
    case PageCodec::kRaw:
      if (stored.size() != page.size()) return false;
      std::memcpy(page.data(), stored.data(), page.size());
      return true;
    case PageCodec::kZlib:
      if (!state_->inflate) state_->inflate.reset(libdeflate_alloc_decompressor());
      // Without a place for the real size, fewer bytes than asked for are an error too.
      return state_->inflate &&
             libdeflate_zlib_decompress(state_->inflate.get(), stored.data(), stored.size(),
                                        page.data(), page.size(), nullptr) == LIBDEFLATE_SUCCESS;
    case PageCodec::kLzo:
      return DecodeLzo(stored, page);
    case PageCodec::kSnappy:
      return DecodeSnappy(stored, page);
    case PageCodec::kZstd:
      if (!state_->zstd) state_->zstd.reset(ZSTD_createDCtx());
      return state_->zstd && ZSTD_decompressDCtx(state_->zstd.get(), page.data(), page.size(),
                                                 stored.data(), stored.size()) == page.size();
  }
  return false;
}

std::string_view SupportedCodecs() { return "raw zlib lzo snappy zstd"; }

}  // namespace dmaudit
