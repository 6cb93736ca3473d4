#include "cpu/experts.h"

#include <algorithm>

#include "cpu/kernels/hadamard.h"
#include "cpu/machine/host_view.h"
#include "cpu/machine/row_tasks.h"

namespace erne::cpu {
namespace {

// Tokens that are sorted together. More need more memory between the products; at this many even
// the widest mixture (64 experts, 6 of them a token) gives each expert a block of kLinearRows.
constexpr int64_t kMaxTokens = 1024;

}  // namespace

void Experts::sort_tokens(std::span<const int32_t> experts, int64_t k, size_t num_experts) {
  ends_.assign(num_experts, 0);
  for (const int32_t expert : experts) ++ends_[expert];
  int32_t next = 0;
  for (int32_t& end : ends_) {
    const int32_t count = end;
    end = next;
    next += count;
  }
  token_.resize(experts.size());
  row_.resize(experts.size());
  for (size_t i = 0; i < experts.size(); ++i) {
    row_[i] = ends_[experts[i]]++;
    token_[row_[i]] = static_cast<int32_t>(static_cast<int64_t>(i) / k);
  }
}

std::span<const Product> Experts::products_of(const StackedLinear& weights) {
  const auto* largest = DeviceAccess::pointer<const float>(weights.input_largest.data);
  linears_.resize(weights.count);
  batch_.clear();
  int64_t begin = 0;
  for (int64_t e = 0; e < weights.count; ++e) {
    if (ends_[e] > begin) {
      linears_[e] = weights.linear(e);
      if (largest != nullptr) linears_[e].input_largest = largest[e];
      batch_.push_back({&linears_[e], begin, ends_[e] - begin});
    }
    begin = ends_[e];
  }
  return batch_;
}

void Experts::run_tokens(const ExpertsArgs& args, int64_t first, int64_t count) {
  const int64_t k = args.experts.shape[1], rows = count * k, hidden = args.x.shape[1];
  const int64_t width = args.down.in;
  const auto experts = host_span<int32_t>(args.experts).subspan(first * k, rows);
  sort_tokens(experts, k, args.gate_up.count);
  for (const int32_t expert : experts) used_[expert] = true;

  const DType type = args.x.dtype;
  const TensorView y = host_view(args.y);
  const TensorView x{row_of(host_view(args.x), first), type, {count, hidden}};
  const TensorView gate_up{gate_up_.floats(rows * 2 * width), type, {rows, 2 * width}};
  const TensorView ffn{ffn_.floats(rows * width), type, {rows, width}};
  const TensorView out{out_.floats(rows * hidden), DType::kF32, {rows, hidden}};
  products_.run(products_of(args.gate_up), x, token_, gate_up);
  for_rows(pool_, rows, 2 * width, [&](int64_t row, int64_t num_rows) {
    kernels_.silu_mul(type, row_of(gate_up, row), row_of(ffn, row), num_rows, width);
    if (args.rotation != 0) rotate_rows(type, row_of(ffn, row), num_rows, width, args.rotation);
  });
  products_.run(products_of(args.down), ffn, {}, out);
  const auto* weights = host_span<float>(args.weights).data() + first * k;
  for_rows(pool_, count, k * hidden, [&](int64_t token, int64_t num_tokens) {
    for (int64_t t = token; t < token + num_tokens; ++t)
      kernels_.mix({.type = y.dtype,
                    .y = row_of(y, first + t),
                    .add = args.add,
                    .x = out.as<const float>(),
                    .rows = row_.data() + t * k,
                    .weights = weights + t * k,
                    .num_rows = k,
                    .width = hidden});
  });
}

int64_t Experts::run(const ExpertsArgs& args) {
  used_.assign(args.gate_up.count, false);
  const int64_t tokens = args.x.shape[0];
  for (int64_t first = 0; first < tokens; first += kMaxTokens)
    run_tokens(args, first, std::min(kMaxTokens, tokens - first));
  return std::ranges::count(used_, true);
}

}  // namespace erne::cpu
