// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/crash_image.h"

#include <doctest/doctest.h>

#include <functional>

#include "kernel/machine.h"
#include "support/machine_scene.h"

namespace dmaudit {
namespace {

using test::MachineScene;

struct Look {
  explicit Look(const std::function<void(MachineScene&)>& after = nullptr) {
    scene.Build();
    if (after) after(scene);
    Result<MachineState> found = scene.Discover();
    REQUIRE(found);
    image = std::move(found->crash_image);
    CHECK_FALSE(scene.sink.incomplete());
  }
  MachineScene scene;
  std::optional<CrashImage> image;
};

PhysRange Range(uint64_t first, uint64_t last) { return {PhysAddr(first), PhysAddr(last)}; }

TEST_CASE("the pieces of an image, in order of their addresses") {
  const Look look([](MachineScene& s) { s.AddSegment(0x20000000, 0x3000, 0x1234); });
  REQUIRE(look.image);
  CHECK(look.image->complete);
  CHECK(look.image->file_mode == false);
  REQUIRE(look.image->segments.size() == 3);
  CHECK(look.image->segments[0].range == Range(0x20000000, 0x20002fff));
  CHECK(look.image->segments[0].loaded_bytes == 0x1234);
  CHECK(look.image->segments[1].range == Range(0x21000000, 0x211fffff));
  // kexec_load(2) names nothing.
  for (const ImageSegment& segment : look.image->segments) {
    CHECK(segment.role == SegmentRole::kUnknown);
  }
}

TEST_CASE("what kexec_file_load(2) left behind names the pieces") {
  const Look look([](MachineScene& s) {
    s.AddSegment(0x22000000, 0x8000, 0x7777);
    s.AddSegment(0x23000000, 0x8000, 0x100);
    s.SetWord("kimage", "kimage.file_mode", 1);
    s.SetWord("kimage", "kimage.kernel_buf_len", 0x100000 + 0x4200);
    s.SetWord("kimage", "kimage.initrd_buf_len", 0x7777);
    s.SetWord("kimage", "kimage.elf_load_addr", 0x2f000000);
    s.SetWord("kimage", "kimage.start", 0x23000040);
  });
  REQUIRE(look.image);
  REQUIRE(look.image->segments.size() == 4);
  CHECK(look.image->segments[0].role == SegmentRole::kKernel);
  CHECK(look.image->segments[1].role == SegmentRole::kInitrd);
  CHECK(look.image->segments[2].role == SegmentRole::kPurgatory);
  CHECK(look.image->segments[3].role == SegmentRole::kElfHeaders);
}

TEST_CASE("a size that two pieces have names neither") {
  const Look twins([](MachineScene& s) {
    s.AddSegment(0x22000000, 0x8000, 0x7777);
    s.AddSegment(0x23000000, 0x8000, 0x7777);
    s.SetWord("kimage", "kimage.file_mode", 1);
    s.SetWord("kimage", "kimage.initrd_buf_len", 0x7777);
  });
  const Look either([](MachineScene& s) {
    s.AddSegment(0x22000000, 0x80000, 0x77777);
    s.SetWord("kimage", "kimage.file_mode", 1);
    s.SetWord("kimage", "kimage.initrd_buf_len", 0x77777);
    s.SetWord("kimage", "kimage.kernel_buf_len", 0x77777 + 0x200);
  });
  for (const Look* look : {&twins, &either}) {
    REQUIRE(look->image);
    CHECK(look->image->complete);
    for (const ImageSegment& segment : look->image->segments) {
      CHECK(segment.role == SegmentRole::kUnknown);
    }
  }
}

TEST_CASE("what was not read may be a second piece that fits: none is named by its size") {
  const auto look = [](const char* lost, uint64_t offset = 0) {
    return Look([lost, offset](MachineScene& s) {
      s.AddSegment(0x22000000, 0x8000, 0x7777);
      s.SetWord("kimage", "kimage.file_mode", 1);
      s.SetWord("kimage", "kimage.kernel_buf_len", 0x100000 + 0x4200);
      s.SetWord("kimage", "kimage.initrd_buf_len", 0x7777);
      s.SetWord("kimage", "kimage.elf_load_addr", 0x2f000000);
      if (*lost == '\0') return;
      const uint64_t at = s.At("kimage") + s.OffsetOf(lost) + offset;
      s.memory().SetState(PhysAddr(MachineScene::Physical(at)), 8, ByteState::kRedacted);
    });
  };
  const Look whole = look("");
  REQUIRE(whole.image->segments.size() == 3);
  CHECK(whole.image->segments[1].role == SegmentRole::kInitrd);
  // The entry point may lie in it; it may be the kernel; the first piece may be the initrd.
  const Look entry = look("kimage.start");
  const Look kernel_size = look("kimage.kernel_buf_len");
  const Look piece = look("kimage.segment", entry.scene.OffsetOf("kexec_segment.mem"));
  CHECK(entry.image->complete);
  CHECK(kernel_size.image->complete);
  CHECK_FALSE(piece.image->complete);
  CHECK(piece.image->segments.size() == 2);
  for (const Look* part : {&entry, &kernel_size, &piece}) {
    for (const ImageSegment& segment : part->image->segments) {
      const bool headers = segment.range.first == PhysAddr(0x2f000000);
      CHECK(segment.role == (headers ? SegmentRole::kElfHeaders : SegmentRole::kUnknown));
    }
  }
}

TEST_CASE("an image that is not known in full says so") {
  // One more segment than the array holds.
  const Look many([](MachineScene& s) { s.SetWord("kimage", "kimage.nr_segments", 17); });
  CHECK_FALSE(many.image->complete);
  CHECK(many.image->segments.empty());
  CHECK(many.scene.Count("kernel.damaged", Effect::kNote) == 1);
  // Beyond the end of the address space.
  const Look beyond([](MachineScene& s) { s.AddSegment(UINT64_MAX - 0xfff, 0x2000, 0); });
  CHECK_FALSE(beyond.image->complete);
  CHECK(beyond.image->segments.size() == 2);
  CHECK(beyond.scene.Count("kernel.damaged", Effect::kNote) == 1);
  const Look lost([](MachineScene& s) { s.SetState("kimage", ByteState::kLost); });
  CHECK_FALSE(lost.image->complete);
  CHECK(lost.scene.Count("kernel.unreadable", Effect::kNote) == 1);
  const Look none([](MachineScene& s) { s.Set("kexec_crash_image", 0); });
  CHECK_FALSE(none.image);
}

}  // namespace
}  // namespace dmaudit
