#include "cpu/code_weights.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu/host_memory.h"
#include "tensor/formats/symmetric_int.h"

namespace erne::cpu {
namespace {

CodePanels panels_at(void* data, const WeightFormat& format, int64_t in) {
  const int64_t run = format.run_length(in);
  return {.data = static_cast<std::byte*>(data),
          .bits = format.bits,
          .in = in,
          .run = run,
          .group = format.group > 0 ? run : kActivationGroup};
}

// Element types are told apart outside the loops: so the compiler makes vectors of them.
void read_row(const TensorView& matrix, int64_t row, std::span<float> out) {
  const int64_t first = row * matrix.shape[1];
  if (matrix.dtype == DType::kBf16)
    for (size_t k = 0; k < out.size(); ++k) out[k] = to_float(matrix.as<const Bf16>()[first + k]);
  else
    std::copy_n(matrix.as<const float>() + first, out.size(), out.begin());
}

// The four codes at `codes` as the bytes of a word.
uint32_t word_of(const uint8_t* codes) {
  uint32_t word;
  std::memcpy(&word, codes, sizeof(word));
  return word;
}

// Output n of a panel. `codes` has room for the padding, too.
void encode_row(std::span<const float> row, const WeightFormat& format, const CodePanels& w,
                int64_t panel, int64_t n, std::span<uint8_t> codes) {
  for (int64_t run = 0; run < num_runs(w); ++run) {
    const int64_t begin = run * w.run, count = std::min(w.run, w.in - begin);
    panel_scales(w, panel, run)[n] =
        symmetric_int::encode(row.subspan(begin, count), format, codes.data() + begin);
  }
  uint8_t* bytes = panel_codes(w, panel, 0);
  const int inputs_per_word = w.bits == 8 ? 4 : 8;
  for (int64_t k = 0; k < std::ssize(codes); k += inputs_per_word) {
    uint32_t word = word_of(&codes[k]);
    if (w.bits == 4) word |= word_of(&codes[k + 4]) << 4;
    std::memcpy(bytes + code_byte(w.bits, k, n), &word, sizeof(word));
  }
}

void encode_panel(const TensorView& weight, const WeightFormat& format, const CodePanels& w,
                  int64_t panel) {
  std::vector<float> row(w.in);
  std::vector<uint8_t> codes(round_up(w.in, kCodePadding));
  for (int64_t n = 0; n < kPanel; ++n) {
    if (panel * kPanel + n < weight.shape[0])
      read_row(weight, panel * kPanel + n, row);
    else
      std::ranges::fill(row, 0.0f);
    encode_row(row, format, w, panel, n, codes);
  }
}

void decode_row(const Linear& table, int64_t row, std::span<float> out) {
  const CodePanels w = code_panels(table);
  const int64_t panel = row / kPanel, n = row % kPanel;
  const uint8_t* bytes = panel_codes(w, panel, 0);
  const int mask = (1 << w.bits) - 1;
  for (int64_t k = 0; k < w.in; ++k) {
    const int code = bytes[code_byte(w.bits, k, n)] >> code_shift(w.bits, k) & mask;
    out[k] = symmetric_int::decode(static_cast<uint8_t>(code), *table.format,
                                   panel_scales(w, panel, k / w.run)[n]);
  }
}

}  // namespace

CodePanels code_panels(const Linear& w) {
  return panels_at(w.data.data, *w.format, w.in);
}

Linear pack_codes(const TensorView& weight, const WeightFormat& format, DeviceBuffer& storage,
                  ThreadPool& pool) {
  CHECK_EQ(weight.shape.rank(), 2);
  CHECK(weight.dtype == DType::kBf16 || weight.dtype == DType::kF32);
  const int64_t out = weight.shape[0], in = weight.shape[1];
  storage = allocate_host(num_panels(out) * panel_stride(panels_at(nullptr, format, in)));
  const CodePanels panels = panels_at(storage.data(), format, in);
  pool.parallel_for(num_panels(out),
                    [&](int64_t p, int) { encode_panel(weight, format, panels, p); });
  return {&format, out, in, {storage.data(), format.stored, {out, in}}};
}

void read_code_rows(const Linear& table, std::span<const int32_t> ids, const TensorView& x,
                    ThreadPool& pool) {
  pool.parallel_for(std::ssize(ids), [&](int64_t t, int) {
    std::vector<float> row(table.in);
    decode_row(table, ids[t], row);
    for (int64_t k = 0; k < table.in; ++k)
      if (x.dtype == DType::kBf16)
        x.as<Bf16>()[t * table.in + k] = to_bf16(row[k]);
      else
        x.as<float>()[t * table.in + k] = row[k];
  });
}

}  // namespace erne::cpu
