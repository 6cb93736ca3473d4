// The case tables: data only. Each case runs on every instance of instances.h, and with --perf it
// is timed there. `timed_only` cases are as large as real models and too slow for a test in double.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace erne::parity {

// For tables.
inline constexpr DType kB = DType::kBf16, kF = DType::kF32;
inline constexpr LinearInput kGiven = LinearInput::kAsGiven, kQuant = LinearInput::kInt8;

struct LinearCase {
  int64_t rows, out, in;
  const char* format;  // of tensor/weight_format.h
  DType activation, output;
  LinearInput input = LinearInput::kAsGiven;
  bool timed_only = false;
  bool unit_order = false;  // Linear's
  float input_largest = 0;  // Linear's
};
std::span<const LinearCase> linear_cases();

// rms_norm, add_rms_norm, silu_mul, add, gather and embed need no more than a shape.
struct RowsCase {
  int64_t rows, width;
  DType activation;
  bool timed_only = false;
};
std::span<const RowsCase> rows_cases();

struct RopeCase {
  int heads, kv_heads, head_dim;
  DType activation;
  std::vector<int32_t> positions;
};
std::span<const RopeCase> rope_cases();

struct SequenceRow {
  int context, num_tokens;
};
struct AttentionCase {
  int heads, kv_heads, head_dim, block_tokens;
  DType kv, activation;
  std::vector<SequenceRow> sequences;
  bool timed_only = false;
  bool extreme = false;  // rows of K and V that are all zeros, and such with one huge value
  bool fixed = false;    // KvLayerView::key_largest and value_largest
  bool cancels = false;  // values sum to almost nothing, so that last bits show
};
std::span<const AttentionCase> attention_cases();

std::string case_name(const LinearCase& c);
std::string case_name(const RowsCase& c);
std::string case_name(const RopeCase& c);
std::string case_name(const AttentionCase& c);

}  // namespace erne::parity
