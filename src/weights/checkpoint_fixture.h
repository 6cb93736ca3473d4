// For tests: folders and safetensors files, well-formed or broken on purpose.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/temp_folder_fixture.h"
#include "tensor/tensor_view.h"

namespace erne::weights {

struct FixtureTensor {
  std::string name;
  std::string type;  // "BF16", ...
  std::vector<int64_t> shape;
  std::string bytes;
};

// A file of `header` as it stands and `data`.
inline std::string safetensors_file(std::string_view header, std::string_view data) {
  const uint64_t length = header.size();
  std::string out(reinterpret_cast<const char*>(&length), sizeof(length));
  out += header;
  out += data;
  return out;
}

inline std::string safetensors_file(const std::vector<FixtureTensor>& tensors) {
  Json::Object header;
  std::string data;
  for (const FixtureTensor& tensor : tensors) {
    Json::Array shape(tensor.shape.begin(), tensor.shape.end());
    const Json::Array offsets = {Json(static_cast<int64_t>(data.size())),
                                 Json(static_cast<int64_t>(data.size() + tensor.bytes.size()))};
    data += tensor.bytes;
    header.emplace_back(tensor.name, Json::Object{{"dtype", tensor.type},
                                                  {"shape", std::move(shape)},
                                                  {"data_offsets", offsets}});
  }
  return safetensors_file(Json(std::move(header)).dump(), data);
}

inline std::string f32_bytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

inline std::string bf16_bytes(const std::vector<float>& values) {
  std::string out;
  for (const float value : values) {
    const Bf16 rounded = to_bf16(value);
    out.append(reinterpret_cast<const char*>(&rounded), sizeof(rounded));
  }
  return out;
}

}  // namespace erne::weights
