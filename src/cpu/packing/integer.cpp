#include "cpu/packing/integer.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "cpu/packing/weight_rows.h"
#include "tensor/formats/symmetric_int.h"

namespace erne::cpu {
namespace {

CodePanels panels_at(void* data, const WeightFormat& format, int64_t in) {
  return {.data = static_cast<std::byte*>(data),
          .bits = format.bits,
          .in = in,
          .run = format.run_length(in),
          .group = format.input_group()};
}

// The four codes at `codes` as the bytes of a word.
uint32_t word_of(const uint8_t* codes) {
  uint32_t word;
  std::memcpy(&word, codes, sizeof(word));
  return word;
}

// Output n of a panel. `codes` has room for the padding, too.
void place_row(std::span<const uint8_t> codes, const CodePanels& w, int64_t panel, int64_t n) {
  uint8_t* bytes = panel_codes(w, panel, 0);
  const int inputs_per_word = w.bits == 8 ? 4 : 8;
  for (int64_t k = 0; k < std::ssize(codes); k += inputs_per_word) {
    uint32_t word = word_of(&codes[k]);
    if (w.bits == 4) word |= word_of(&codes[k + 4]) << 4;
    std::memcpy(bytes + code_byte(w.bits, k, n), &word, sizeof(word));
  }
}

void encode_row(std::span<const float> row, const WeightFormat& format, const CodePanels& w,
                int64_t panel, int64_t n, std::span<uint8_t> codes) {
  for (int64_t run = 0; run < num_runs(w); ++run) {
    const int64_t begin = run * w.run, count = std::min(w.run, w.in - begin);
    panel_scales(w, panel, run)[n] =
        symmetric_int::encode(row.subspan(begin, count), format, codes.data() + begin);
  }
  place_row(codes, w, panel, n);
}

// From kPanel rows, or as many as there are.
void encode_panel(const TensorView& rows, int64_t first, const WeightFormat& format,
                  const CodePanels& w, int64_t panel) {
  std::vector<float> row(w.in);
  std::vector<uint8_t> codes(round_up(w.in, kCodePadding));
  for (int64_t n = 0; n < kPanel; ++n) {
    if (first + n < rows.shape[0])
      read_row(rows, first + n, row);
    else
      std::ranges::fill(row, 0.0f);
    encode_row(row, format, w, panel, n, codes);
  }
}

// Outputs behind the last are zeros.
void place_panel(const EncodedRows& rows, int64_t first, const CodePanels& w, int64_t panel) {
  std::vector<uint8_t> codes(round_up(w.in, kCodePadding));
  for (int64_t n = 0; n < kPanel; ++n) {
    const bool is_there = first + n < rows.count;
    if (is_there)
      std::ranges::copy(rows.codes_of(first + n), codes.begin());
    else
      std::ranges::fill(codes, static_cast<uint8_t>(symmetric_int::offset(w.bits)));
    for (int64_t run = 0; run < num_runs(w); ++run)
      panel_scales(w, panel, run)[n] = to_bf16(is_there ? rows.scales_of(first + n)[run] : 0);
    place_row(codes, w, panel, n);
  }
}

template <class T>
void decode_row(const Linear& table, int64_t row, T* out) {
  const CodePanels w = code_panels(table);
  const int64_t panel = row / kPanel, n = row % kPanel;
  const uint8_t* bytes = panel_codes(w, panel, 0);
  const int mask = (1 << w.bits) - 1;
  for (int64_t run = 0; run < num_runs(w); ++run) {
    const Bf16 scale = panel_scales(w, panel, run)[n];
    for (int64_t k = run * w.run; k < std::min((run + 1) * w.run, w.in); ++k) {
      const int code = bytes[code_byte(w.bits, k, n)] >> code_shift(w.bits, k) & mask;
      const float v = symmetric_int::decode(static_cast<uint8_t>(code), *table.format, scale);
      if constexpr (std::is_same_v<T, Bf16>)
        out[k] = to_bf16(v);
      else
        out[k] = v;
    }
  }
}

}  // namespace

CodePanels code_panels(const Linear& w) {
  return panels_at(DeviceAccess::pointer(w.data.data), *w.format, w.in);
}

size_t code_bytes(const WeightFormat& format, int64_t out, int64_t in) {
  return num_panels(out) * panel_stride(panels_at(nullptr, format, in));
}

void pack_codes(const Linear& w, const TensorView& rows, int64_t first_row, ThreadPool& pool) {
  const CodePanels panels = code_panels(w);
  pool.parallel_for(num_panels(rows.shape[0]), [&](int64_t p, int) {
    encode_panel(rows, p * kPanel, *w.format, panels, first_row / kPanel + p);
  });
}

void place_codes(const Linear& w, const EncodedRows& rows, int64_t first_row, ThreadPool& pool) {
  const CodePanels panels = code_panels(w);
  pool.parallel_for(num_panels(rows.count), [&](int64_t p, int) {
    place_panel(rows, p * kPanel, panels, first_row / kPanel + p);
  });
}

void read_code_rows(const Linear& table, std::span<const int32_t> ids, const TensorView& x,
                    ThreadPool& pool) {
  pool.parallel_for(std::ssize(ids), [&](int64_t t, int) {
    if (x.dtype == DType::kBf16)
      decode_row(table, ids[t], x.as<Bf16>() + t * table.in);
    else
      decode_row(table, ids[t], x.as<float>() + t * table.in);
  });
}

}  // namespace erne::cpu
