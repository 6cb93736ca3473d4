#include "weights/checkpoint_writer.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "weights/safetensors_writer.h"

namespace erne::weights {
namespace {

// The parts of a tensor are stacked rows, so they follow each other in the file as they do in it.
SafetensorsHeader header_of(std::span<const TensorSpec> specs) {
  SafetensorsHeader header;
  for (const TensorSpec& spec : specs) {
    const int64_t columns = spec.shape.elements() / spec.shape[0];
    for (const TensorPart& part : spec.parts)
      header.add(part.source, "BF16",
                 spec.shape.rank() == 1 ? Shape{part.rows} : Shape{part.rows, columns},
                 part.rows * columns * dtype_bytes(DType::kBf16));
  }
  return header;
}

Result<void> write_all(WeightSource& source, std::span<const TensorSpec> specs, std::ostream& out,
                       const std::function<void(size_t, size_t)>& progress) {
  header_of(specs).write(out);
  std::vector<Bf16> tensor;
  for (size_t i = 0; i < specs.size() && out; ++i) {
    tensor.resize(specs[i].shape.elements());
    TRY(source.read(specs[i], {tensor.data(), DType::kBf16, specs[i].shape}));
    out.write(reinterpret_cast<const char*>(tensor.data()),
              static_cast<std::streamsize>(tensor.size() * sizeof(Bf16)));
    progress(i + 1, specs.size());
  }
  out.flush();
  if (!out) return Status{Code::kInternal, std::strerror(errno), {}};
  return {};
}

}  // namespace

Result<void> write_checkpoint(WeightSource& source, std::span<const TensorSpec> specs,
                              const std::filesystem::path& file,
                              const std::function<void(size_t, size_t)>& progress) {
  std::error_code ignored;
  if (std::filesystem::exists(file, ignored))
    return invalid(fmt::format("{} exists already; choose another --output", file.string()),
                   "output");
  std::ofstream out(file, std::ios::binary);
  if (!out)
    return invalid(fmt::format("cannot write {}: {}", file.string(), std::strerror(errno)),
                   "output");
  auto written = write_all(source, specs, out, progress);
  if (written.ok()) return {};
  out.close();
  std::filesystem::remove(file, ignored);
  return Status{written.status().code,
                fmt::format("writing {} failed: {}", file.string(), written.status().message),
                "output"};
}

}  // namespace erne::weights
