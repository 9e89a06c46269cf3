// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/remembered_types.h"

#include <doctest/doctest.h>

namespace dmaudit {
namespace {

// Knows unit.cap alone, and counts what it is asked.
class Asked : public TypeSource {
 public:
  explicit Asked(unsigned& count) : count_(count) {}

  const std::string& from() const override { return from_; }
  Result<MemberLayout> Member(std::string_view type, std::string_view path) const override {
    ++count_;
    if (type != "unit" || path != "cap") return Fail(ErrorCode::kNotFound, "no {}.{}", type, path);
    return MemberLayout{64, 32, MemberKind::kInteger, 0, ""};
  }
  Result<uint64_t> SizeOf(std::string_view type) const override {
    ++count_;
    if (type != "unit") return Fail(ErrorCode::kNotFound, "no {}", type);
    return uint64_t{16};
  }

 private:
  std::string from_ = "the test";
  unsigned& count_;
};

TEST_CASE("a layout is looked up once, one that is not there too") {
  unsigned count = 0;
  const RememberedTypes types(std::make_unique<const Asked>(count));
  CHECK(types.from() == "the test");
  for (int i = 0; i < 3; ++i) {
    CHECK(types.Member("unit", "cap").value() == MemberLayout{64, 32, MemberKind::kInteger, 0, ""});
    CHECK(types.Member("unit", "ca").error().message == "no unit.ca");
    CHECK(types.Member("cap", "unit").error().code == ErrorCode::kNotFound);
    CHECK(types.SizeOf("unit").value() == 16);
    CHECK(types.SizeOf("cap").error().message == "no cap");
  }
  CHECK(count == 5);
}

}  // namespace
}  // namespace dmaudit
