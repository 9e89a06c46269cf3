// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmcore/write/page_compressor.h"

#include <libdeflate.h>
#include <lzo/lzo1x.h>
#include <snappy.h>
#include <zstd.h>

namespace dmaudit {
namespace {

constexpr int kMinDeflateLevel = 1;
constexpr int kMaxDeflateLevel = 12;

// Does without Huffman coding, which is what zstd spends most time on where pages are this small.
constexpr int kFastZstdLevel = -1;

// Coding pays where much is left to code, and neighbours are alike: the page before was stored in
// at least so much of its size, and could be compressed at all. By measurement on real dumps.
bool IsWorthCoding(size_t stored, size_t page_size) {
  return stored >= page_size / 2 && stored < page_size;
}

}  // namespace

void PageCompressor::FreeZstd::operator()(ZSTD_CCtx_s* context) const { ZSTD_freeCCtx(context); }

void PageCompressor::FreeDeflate::operator()(libdeflate_compressor* compressor) const {
  libdeflate_free_compressor(compressor);
}

PageCompressor::Zstd PageCompressor::MakeZstd(int level) {
  Zstd context(ZSTD_createCCtx());
  if (context == nullptr) return context;
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
  // Four bytes a page, and a damaged copy of the file cannot decode to other tables.
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  return context;
}

Result<PageCompressor> PageCompressor::Make(const KdumpOptions& options, uint32_t page_size) {
  PageCompressor compressor;
  compressor.codec_ = options.codec;
  switch (options.codec) {
    case StoreCodec::kRaw:
      break;
    case StoreCodec::kZlib:
      if (options.level < kMinDeflateLevel || options.level > kMaxDeflateLevel) {
        return Fail(ErrorCode::kUsage, "zlib level {}, expected {} to {}", options.level,
                    kMinDeflateLevel, kMaxDeflateLevel);
      }
      compressor.deflate_.reset(libdeflate_alloc_compressor(options.level));
      if (compressor.deflate_ == nullptr) return Fail(ErrorCode::kIo, "zlib: out of memory");
      compressor.buffer_.resize(
          libdeflate_zlib_compress_bound(compressor.deflate_.get(), page_size));
      break;
    case StoreCodec::kLzo:
      compressor.work_.resize(LZO1X_1_MEM_COMPRESS);
      // The worst case that LZO's documentation gives.
      compressor.buffer_.resize(page_size + page_size / 16 + 64 + 3);
      break;
    case StoreCodec::kSnappy:
      compressor.buffer_.resize(snappy::MaxCompressedLength(page_size));
      break;
    case StoreCodec::kZstd:
      if (options.level < 1 || options.level > ZSTD_maxCLevel()) {
        return Fail(ErrorCode::kUsage, "zstd level {}, expected 1 to {}", options.level,
                    ZSTD_maxCLevel());
      }
      compressor.zstd_ = MakeZstd(options.level);
      if (options.fast) compressor.zstd_fast_ = MakeZstd(kFastZstdLevel);
      if (compressor.zstd_ == nullptr || (options.fast && compressor.zstd_fast_ == nullptr)) {
        return Fail(ErrorCode::kIo, "zstd: out of memory");
      }
      compressor.buffer_.resize(ZSTD_compressBound(page_size));
      break;
  }
  return compressor;
}

std::span<const std::byte> PageCompressor::Compress(std::span<const std::byte> page) {
  size_t size = 0;
  switch (codec_) {
    case StoreCodec::kRaw:
      break;
    case StoreCodec::kZlib:
      size = libdeflate_zlib_compress(deflate_.get(), page.data(), page.size(), buffer_.data(),
                                      buffer_.size());
      break;
    case StoreCodec::kLzo: {
      lzo_uint packed = 0;
      const int result =
          lzo1x_1_compress(reinterpret_cast<const unsigned char*>(page.data()), page.size(),
                           reinterpret_cast<unsigned char*>(buffer_.data()), &packed, work_.data());
      if (result == LZO_E_OK) size = packed;
      break;
    }
    case StoreCodec::kSnappy:
      snappy::RawCompress(reinterpret_cast<const char*>(page.data()), page.size(),
                          reinterpret_cast<char*>(buffer_.data()), &size);
      break;
    case StoreCodec::kZstd: {
      const bool fast = zstd_fast_ != nullptr && !IsWorthCoding(last_size_, page.size());
      size = ZSTD_compress2((fast ? zstd_fast_ : zstd_).get(), buffer_.data(), buffer_.size(),
                            page.data(), page.size());
      if (ZSTD_isError(size) != 0) size = 0;
      break;
    }
  }
  last_size_ = size == 0 ? page.size() : size;
  if (size == 0 || size >= page.size()) return page;
  return std::span(buffer_).first(size);
}

uint32_t PageCompressor::flag() const {
  switch (codec_) {
    case StoreCodec::kRaw:
      return 0;
    case StoreCodec::kZlib:
      return 1;
    case StoreCodec::kLzo:
      return 2;
    case StoreCodec::kSnappy:
      return 4;
    case StoreCodec::kZstd:
      return 0x20;
  }
  return 0;
}

}  // namespace dmaudit
