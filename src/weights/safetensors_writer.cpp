#include "weights/safetensors_writer.h"

namespace erne::weights {

void SafetensorsHeader::add(std::string name, const char* type, const Shape& shape, int64_t bytes) {
  Json::Array extents;
  for (int i = 0; i < shape.rank(); ++i) extents.push_back(Json(shape[i]));
  tensors_.emplace_back(std::move(name),
                        Json::Object{{"dtype", type},
                                     {"shape", std::move(extents)},
                                     {"data_offsets", Json::Array{end_, end_ + bytes}}});
  end_ += bytes;
}

void SafetensorsHeader::write(std::ostream& out, size_t alignment) const {
  std::string text = Json(tensors_).dump();
  uint64_t bytes = text.size();
  text.append((alignment - (sizeof(bytes) + bytes) % alignment) % alignment, ' ');
  bytes = text.size();
  out.write(reinterpret_cast<const char*>(&bytes), sizeof(bytes)) << text;
}

}  // namespace erne::weights
