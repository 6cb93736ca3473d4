#include "weights/safetensors_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <tuple>

#include "base/json.h"

namespace erne::weights {
namespace {

constexpr std::array<StoredType, 15> kStoredTypes = {{
    {"BOOL", 1},
    {"U8", 1},
    {"I8", 1},
    {"F8_E4M3", 1},
    {"F8_E5M2", 1},
    {"U16", 2},
    {"I16", 2},
    {"F16", 2},
    {"BF16", 2},
    {"U32", 4},
    {"I32", 4},
    {"F32", 4},
    {"U64", 8},
    {"I64", 8},
    {"F64", 8},
}};
constexpr uint64_t kLengthBytes = 8;
constexpr size_t kMostDimensions = 64;  // of a tensor in a file; of one that we read: Shape's
constexpr size_t kReadDimensions = 4;
constexpr int kJsonDepth = 4;  // header, tensor, shape, and one that Json::parse takes itself

const StoredType* find_type(std::string_view name) {
  for (const StoredType& type : kStoredTypes)
    if (name == type.name) return &type;
  return nullptr;
}

Status bad_tensor(const std::string& name, const std::string& what) {
  return invalid(fmt::format("tensor {}: {}", quote_name(name), what), name);
}

std::string describe(const Json* value) {
  if (value == nullptr) return "none";
  const std::string text = value->dump();
  return text.size() <= 80 ? text : text.substr(0, 77) + "...";
}

// A list of integers >= 0; nullopt for anything else.
std::optional<std::vector<int64_t>> unsigned_list(const Json* value, size_t max_length) {
  if (value == nullptr || !value->is_array() || value->as_array().size() > max_length)
    return std::nullopt;
  std::vector<int64_t> out;
  for (const Json& element : value->as_array()) {
    if (!element.is_integer() || element.as_int() < 0) return std::nullopt;
    out.push_back(element.as_int());
  }
  return out;
}

Result<std::vector<int64_t>> parse_shape(const std::string& name, const Json* value) {
  auto dims = unsigned_list(value, kMostDimensions);
  if (!dims)
    return bad_tensor(name, fmt::format("shape: found {}, expected at most {} integers >= 0",
                                        describe(value), kMostDimensions));
  return *std::move(dims);
}

// Elements x bytes per element; nullopt where that does not fit 63 bits.
std::optional<uint64_t> byte_size(const Shape& shape, const StoredType& type) {
  int64_t bytes = type.bytes;
  for (int i = 0; i < shape.rank(); ++i)
    if (__builtin_mul_overflow(bytes, shape[i], &bytes)) return std::nullopt;
  return static_cast<uint64_t>(bytes);
}

struct Offsets {
  uint64_t begin, end;  // in the data
};

Result<Offsets> parse_offsets(const std::string& name, const Json& entry, uint64_t data_bytes) {
  const auto offsets = unsigned_list(entry.find("data_offsets"), 2);
  if (!offsets || offsets->size() != 2 || (*offsets)[0] > (*offsets)[1])
    return bad_tensor(name, fmt::format("data_offsets: found {}, expected [begin, end] with "
                                        "begin <= end",
                                        describe(entry.find("data_offsets"))));
  const uint64_t begin = (*offsets)[0], end = (*offsets)[1];
  if (end > data_bytes)
    return bad_tensor(name,
                      fmt::format("data_offsets: found an end at {}, expected at most {}, the "
                                  "bytes of data in the file (is it truncated? download it again)",
                                  end, data_bytes));
  return Offsets{begin, end};
}

// The bytes between the offsets are those of the type and shape.
Result<void> check_size(const StoredTensor& tensor) {
  const auto expected = byte_size(tensor.shape, *tensor.type);
  if (!expected)
    return bad_tensor(tensor.name, fmt::format("shape: found {}, expected a size that fits 63 bits",
                                               tensor.shape.str()));
  if (tensor.end - tensor.begin != *expected)
    return bad_tensor(
        tensor.name,
        fmt::format("data_offsets: found {} bytes, expected {} for {} {}",
                    tensor.end - tensor.begin, *expected, tensor.type->name, tensor.shape.str()));
  return {};
}

Result<StoredTensor> parse_tensor(const std::string& name, const Json& entry, uint64_t data_begin,
                                  uint64_t data_bytes) {
  if (!entry.is_object())
    return bad_tensor(name, fmt::format("found {}, expected an object", entry.type_name()));
  for (const auto& [key, value] : entry.as_object())
    if (key != "dtype" && key != "shape" && key != "data_offsets")
      return bad_tensor(
          name,
          fmt::format("found the key {}, expected dtype, shape and data_offsets", quote_name(key)));
  if (entry.as_object().size() != 3)
    return bad_tensor(name, "expected each of dtype, shape and data_offsets once");

  const Json* dtype = entry.find("dtype");
  if (dtype == nullptr || !dtype->is_string())
    return bad_tensor(name, fmt::format("dtype: found {}, expected one of the safetensors types "
                                        "such as \"BF16\" or \"F32\"",
                                        describe(dtype)));
  const std::vector<int64_t> dims = TRY(parse_shape(name, entry.find("shape")));
  StoredTensor tensor{name};
  const auto [begin, end] = TRY(parse_offsets(name, entry, data_bytes));
  tensor.begin = data_begin + begin;
  tensor.end = data_begin + end;
  const StoredType* type = find_type(dtype->as_string());
  if (type == nullptr) {
    tensor.unreadable = fmt::format("dtype: found {}, which erne does not read", describe(dtype));
  } else if (dims.size() > kReadDimensions) {
    tensor.unreadable = fmt::format("shape: found {}, expected at most {} dimensions",
                                    describe(entry.find("shape")), kReadDimensions);
  } else {
    tensor.type = type;
    for (const int64_t dim : dims) tensor.shape.append(dim);
    TRY(check_size(tensor));
  }
  return tensor;
}

// `tensors` sorted by place in the file.
Result<void> check_tiling(const std::vector<StoredTensor>& tensors, uint64_t data_begin,
                          uint64_t file_bytes) {
  uint64_t at = data_begin;
  for (const StoredTensor& tensor : tensors) {
    if (tensor.begin != at)
      return bad_tensor(tensor.name,
                        fmt::format("data_offsets: found a beginning at {}, expected {}: it would "
                                    "leave {} and the tensor before it",
                                    tensor.begin - data_begin, at - data_begin,
                                    tensor.begin < at ? "an overlap of it" : "a gap between it"));
    at = tensor.end;
  }
  if (at != file_bytes)
    return invalid(
        fmt::format("found {} bytes of data, expected {}: the tensors end before the file",
                    file_bytes - data_begin, at - data_begin));
  return {};
}

Result<void> check_names(const std::vector<StoredTensor>& tensors) {
  std::vector<std::string_view> names;
  for (const StoredTensor& tensor : tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice == names.end()) return {};
  return bad_tensor(std::string(*twice), "found twice, expected once");
}

// The length of the JSON, checked against the file.
Result<uint64_t> header_length(std::span<const std::byte> file) {
  static_assert(std::endian::native == std::endian::little);
  if (is_lfs_pointer(file))
    return invalid(
        "the file is a Git LFS pointer, not what it points to: run `git lfs pull` in its folder");
  if (file.size() < kLengthBytes)
    return invalid(fmt::format("found {} bytes, expected at least {}: not a safetensors file{}",
                               file.size(), kLengthBytes,
                               file.empty() ? ", but an empty one; download it again" : ""));
  uint64_t length;
  std::memcpy(&length, file.data(), sizeof(length));
  if (length > kMaxHeaderBytes)
    return invalid(
        fmt::format("found a header of {} bytes, expected at most {}: not a safetensors "
                    "file",
                    length, kMaxHeaderBytes));
  if (length > file.size() - kLengthBytes)
    return invalid(
        fmt::format("found a header of {} bytes, expected at most {}, which is the rest "
                    "of the file (is it truncated? download it again)",
                    length, file.size() - kLengthBytes));
  return length;
}

}  // namespace

std::string quote_name(std::string_view name) {
  constexpr size_t kShown = 120;
  std::string out;
  append_json_string(out, name.substr(0, kShown));
  if (name.size() > kShown) out += "...";
  return out;
}

std::string quote_names(const std::vector<std::string>& names) {
  constexpr size_t kListed = 20;
  std::string out;
  for (size_t i = 0; i < std::min(names.size(), kListed); ++i)
    out += (i == 0 ? "" : ", ") + quote_name(names[i]);
  return names.size() > kListed ? out + ", ..." : out;
}

bool is_lfs_pointer(std::span<const std::byte> file) {
  constexpr std::string_view kBegin = "version https://git-lfs.github.com/spec/";
  return file.size() >= kBegin.size() &&
         std::memcmp(file.data(), kBegin.data(), kBegin.size()) == 0;
}

Result<std::vector<StoredTensor>> parse_safetensors_header(std::span<const std::byte> file) {
  const uint64_t length = TRY(header_length(file));
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  Result<Json> header = Json::parse(text, kJsonDepth);
  if (!header) return invalid("header: " + header.status().message);
  if (!header->is_object())
    return invalid(fmt::format("header: found {}, expected an object", header->type_name()));

  const uint64_t data_begin = kLengthBytes + length;
  std::vector<StoredTensor> tensors;
  for (const auto& [name, entry] : header->as_object()) {
    if (name == "__metadata__") continue;  // free text, not used
    if (name.empty() || name.size() > kMaxTensorNameBytes)
      return bad_tensor(name, fmt::format("found a name of {} bytes, expected 1 to {}", name.size(),
                                          kMaxTensorNameBytes));
    tensors.push_back(TRY(parse_tensor(name, entry, data_begin, file.size() - data_begin)));
  }
  TRY(check_names(tensors));
  std::sort(tensors.begin(), tensors.end(), [](const StoredTensor& a, const StoredTensor& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  TRY(check_tiling(tensors, data_begin, file.size()));
  return tensors;
}

}  // namespace erne::weights
