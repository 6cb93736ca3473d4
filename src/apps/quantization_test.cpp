#include "apps/quantization.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "apps/options.h"
#include "base/temp_folder_fixture.h"

namespace erne::apps {
namespace {

using testing::HasSubstr;

TEST(Quantization, EverySchemeIsTakenByItsNameAndListedInTheHelp) {
  for (const QuantizationScheme& scheme : quantization_schemes()) {
    EXPECT_EQ(parse_quantization(scheme.name).value(), &scheme);
    EXPECT_THAT(options_help(), HasSubstr(scheme.name));
  }
}

TEST(Quantization, TheDocumentsNameEveryScheme) {
  for (const char* name : {"README.md", "docs/quantization.md"}) {
    const std::string text = bytes_of_file(std::filesystem::path(ERNE_SOURCE_DIR) / name);
    for (const QuantizationScheme& scheme : quantization_schemes())
      EXPECT_THAT(text, HasSubstr(std::string("`") + scheme.name + "`")) << name;
  }
}

TEST(Quantization, NoneLeavesWeightsAsTheyAre) {
  for (const char* name : {"none", "None", "bfloat16"})
    EXPECT_EQ(parse_quantization(name).value(), nullptr);
}

TEST(Quantization, RefusesWithAReason) {
  for (const char* name : {"wfp8afp8", R"({"dense_quant_type": "wint8"})"}) {
    const auto not_built = parse_quantization(name);
    ASSERT_FALSE(not_built.ok());
    EXPECT_EQ(not_built.status().code, Code::kUnsupported);
    EXPECT_THAT(not_built.status().message, HasSubstr("not built yet; built are none, wint8"));
  }
  const auto unknown = parse_quantization("float32");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.status().code, Code::kInvalid);
  EXPECT_THAT(unknown.status().message, HasSubstr("\"float32\"; allowed are none, wint8"));
}

}  // namespace
}  // namespace erne::apps
