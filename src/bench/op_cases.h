// The operations of one model, each as a case that can be run again and again at any number of
// rows.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"

namespace erne::bench {

struct OpShapes {
  int64_t hidden, heads, kv_heads, head_dim, intermediate, vocab;
  int context;       // positions that each sequence of the decode attention has
  int block_tokens;  // of the KV
};
inline constexpr OpShapes kErnie03B = {.hidden = 1024,
                                       .heads = 16,
                                       .kv_heads = 2,
                                       .head_dim = 128,
                                       .intermediate = 3072,
                                       .vocab = 103424,
                                       .context = 512,
                                       .block_tokens = 64};

struct CaseOptions {
  OpShapes shapes = kErnie03B;
  DType activations = DType::kBf16;  // weights are bfloat16
  DType kv = DType::kBf16;
  int64_t max_rows = 512;
  // In a model's step each layer's weights and KV come from memory, because the other layers'
  // passed through the caches since. So each case has copies of them, this large in all, and goes
  // round.
  size_t streamed_bytes = size_t{512} << 20;
};

struct OpCase {
  std::string name;
  // Runs the op once on `rows` rows (at most max_rows). `turn` counts up from 0 and picks the copy.
  std::function<void(int64_t rows, int64_t turn)> run;
  // What one call reads or writes of memory that no cache holds: weights, embedding rows, KV.
  std::function<int64_t(int64_t rows)> cold_bytes;
  std::vector<DeviceBuffer> memory;  // that `run` works on
};

// "embed", "linear_qkv", "attention_decode", ... in the order of a forward pass.
std::vector<std::string> op_names();

// Whether the back end has it: some leave sampling to the host.
bool has_op(std::string_view name, const Backend& backend);

// CHECKs that the name is one of them. The back end must outlive the case.
OpCase make_op_case(std::string_view name, Backend& backend, const CaseOptions& options);

}  // namespace erne::bench
