// model.safetensors.index.json: no accepted file name leaves the folder.
#include <filesystem>

#include "base/check.h"
#include "weights/checkpoint_files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto index =
      erne::weights::parse_safetensors_index({reinterpret_cast<const char*>(data), size});
  if (!index) return 0;
  for (const auto& [tensor, file] : *index) {
    const std::filesystem::path path(file);
    CHECK(path == path.filename());
    CHECK(path != ".." && path != ".");
    CHECK_EQ(file.find('\0'), std::string::npos);
  }
  return 0;
}
