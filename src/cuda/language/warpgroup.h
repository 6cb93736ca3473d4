// Matrix instructions of a warpgroup, four warps of which the first has a number that is a multiple
// of four (sm_90a; PTX ISA, "wgmma.mma_async"): d += a b, with a [64, 16] and b [16, n] of bfloat16
// and d [64, n] of float32. They read shared memory and registers behind the warps' backs:
//
//   Accumulators<n> d;              what a lane has of d
//   LeftOperand a;                  what a lane has of a
//   fence_warpgroup()               before the first instruction, and between a thread's own use of
//                                   registers and an instruction that takes them
//   multiply_async(d, a, right)     begins; `right` is a SwizzledMatrix in shared memory of n rows,
//   multiply_async(d, left, right)  the columns of b; `left` likewise of the 64 rows of a
//   close_products()                those begun since are a group
//   finish_products<left>()         until at most so many groups of this warp are under way. Before
//                                   neither registers nor shared memory of theirs may be touched
//
// All lanes of the four warps call together. With w the warp's number among the four, g = lane / 4
// and t = lane mod 4, a lane has
//
//   d[i]   row 16 w + g + 8 (i / 2 mod 2), column 8 (i / 4) + 2 t + i mod 2
//   a[0..3] (16 w + g, 2t), (16 w + g+8, 2t), (16 w + g, 2t+8), (16 w + g+8, 2t+8) and each one's
//          right neighbour, the lower index in the lower half
//
// (PTX ISA, "Register Fragments and Shared Memory Matrix Layouts" of wgmma, .m64nNk16: the figures
// of matrix A and of accumulator D.) So a warp's sixteen rows lie as in the instructions of
// matrix.h. What is rounded inside an instruction is the device's own; the emulation rounds once,
// as it does there.
#pragma once

#include "cuda/language/bulk_copy.h"
#include "cuda/language/matrix.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

constexpr int kWarpgroup = 128;  // threads
constexpr int kWarpgroupRows = 64;

// Rows of 128 bytes in shared memory, swizzled as bulk copies of boxes leave them, at a multiple of
// 1024 bytes; of which an instruction takes 16 neighbouring numbers of each row.
class SwizzledMatrix {
 public:
  ON_DEVICE explicit SwizzledMatrix(Shared<std::byte> at);

  // The numbers from 16 i on, i < 4.
  ON_DEVICE SwizzledMatrix sixteen(int i) const {
    constexpr uint64_t kBytes = 32;
    return SwizzledMatrix(descriptor_ + i * (kBytes >> 4));
  }
  ON_DEVICE uint64_t descriptor() const { return descriptor_; }

 private:
  ON_DEVICE explicit SwizzledMatrix(uint64_t descriptor) : descriptor_(descriptor) {}

  uint64_t descriptor_;
};

// PTX ISA, "Matrix Descriptor Format": bits 0 to 13 the address, 16 to 29 the leading and 32 to 45
// the stride dimension's byte offset, each without its last four bits; 49 to 51 the base offset, 0
// where what the swizzle repeats begins at a multiple of its 1024 bytes; 62 and 63 the swizzle, 1
// for 128 bytes. Of rows along k the stride dimension is from eight of them to the next eight; the
// leading one is not used by swizzled ones, and 1.
ON_DEVICE uint64_t matrix_descriptor(uint32_t address) {
  constexpr uint64_t kLeading = 1, kStride = kSwizzleBytes >> 4, kSwizzle128 = 1;
  return (address & 0x3FFFF) >> 4 | kLeading << 16 | kStride << 32 | kSwizzle128 << 62;
}

#if defined(ERNE_CUDA_EMULATED)

inline constexpr bool kHasWarpgroups = true;

// Registers that warpgroup instructions take; the emulation stops where a thread uses them while an
// instruction in flight has them, and where no fence lies between.
template <class T, int count>
class WarpgroupRegisters {
 public:
  WarpgroupRegisters() = default;
  ~WarpgroupRegisters() { use_.by_thread(0); }
  WarpgroupRegisters(const WarpgroupRegisters&) = delete;
  WarpgroupRegisters& operator=(const WarpgroupRegisters&) = delete;

  T operator[](int i) const {
    use_.by_thread(emulation::current_block().queue().fences());
    return at_[i];
  }
  void set(int i, T value) {
    use_.by_thread(emulation::current_block().queue().fences());
    at_[i] = value;
  }
  // For instructions.
  T* registers() { return at_; }
  emulation::RegisterUse& use() { return use_; }

 private:
  T at_[count];
  mutable emulation::RegisterUse use_;
};

#else

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
inline constexpr bool kHasWarpgroups = true;
#else
inline constexpr bool kHasWarpgroups = false;
#endif

template <class T, int count>
class WarpgroupRegisters {
 public:
  ON_DEVICE T operator[](int i) const { return at_[i]; }
  ON_DEVICE void set(int i, T value) { at_[i] = value; }
  ON_DEVICE T* registers() { return at_; }

 private:
  T at_[count];
};

#endif

template <int columns>
using Accumulators = WarpgroupRegisters<float, columns / 2>;
using LeftOperand = WarpgroupRegisters<uint32_t, 4>;

#if defined(ERNE_CUDA_EMULATED)

inline SwizzledMatrix::SwizzledMatrix(Shared<std::byte> at)
    : descriptor_(matrix_descriptor(shared_address(at.address()))) {
  if (shared_address(at.address()) % kSwizzleBytes != 0)
    emulation::fault("a matrix at no multiple of 1024 bytes");
}

namespace warpgroup_unit {

constexpr int kInputs = 16;  // of an instruction

// What a descriptor says, by the table above.
class DescribedMatrix {
 public:
  explicit DescribedMatrix(uint64_t descriptor)
      : begin_(static_cast<uint32_t>(descriptor & 0x3FFF) << 4),
        stride_(static_cast<uint32_t>(descriptor >> 32 & 0x3FFF) << 4) {
    if (descriptor >> 62 != 1) emulation::fault("a descriptor without the swizzle of 128 bytes");
    if ((descriptor >> 49 & 7) != 0 || begin_ % kSwizzleBytes >= kSwizzleRow)
      emulation::fault("a descriptor of what does not begin at a multiple of 1024 bytes");
    if (begin_ % kSwizzleRow + kInputs * sizeof(Bf16) > kSwizzleRow)
      emulation::fault("a descriptor of what leaves its row of 128 bytes");
  }

  // Eight inputs from 8 half on.
  const std::byte* piece(int row, int half) const {
    return shared_bytes() +
           swizzled(begin_ + row / 8 * stride_ + row % 8 * kSwizzleRow + half * 16);
  }
  // set(row, k, number) for each; the pieces that were read are added.
  template <class Set>
  void read(int rows, emulation::SharedMemory::Pieces& pieces, const Set& set) const {
    for (int row = 0; row < rows; ++row)
      for (int half = 0; half < 2; ++half) {
        pieces.push_back(piece(row, half));
        if (pieces.back() + 16 > shared_bytes() + emulation::current_block().shared().bytes())
          emulation::fault("a descriptor of what leaves shared memory");
        Bf16 numbers[8];
        std::memcpy(numbers, pieces.back(), sizeof(numbers));
        for (int i = 0; i < 8; ++i) set(row, 8 * half + i, to_float(numbers[i]));
      }
  }

 private:
  uint32_t begin_, stride_;
};

template <int columns>
struct Operands {
  Accumulators<columns>* d;
  LeftOperand* a;  // or left
  uint64_t left, right;
};

using Left = double[kWarpgroupRows][kInputs];

inline void take_left(Left& left, int thread, const uint32_t* a) {
  const int row = thread / 32 * 16 + thread % 32 / 4;
  for (int word = 0; word < 4; ++word)
    for (int i = 0; i < 2; ++i)
      left[row + word % 2 * 8][word / 2 * 8 + thread % 4 * 2 + i] = matrix_unit::number(a[word], i);
}

// Without the last 12 bits of its fraction.
inline float cut_off(float sum) {
  return bits_as<float>(bits_as<uint32_t>(sum) & 0xFFFFF000u);
}

// One row of d; element(column) is where a thread has it.
template <int columns, class Element>
void add_products(const double (&left)[kInputs], const double (&right)[kInputs][columns],
                  bool cuts_off, const Element& element) {
  double sums[columns];
  for (int column = 0; column < columns; ++column) sums[column] = element(column);
  for (int k = 0; k < kInputs; ++k)
    for (int column = 0; column < columns; ++column) sums[column] += left[k] * right[k][column];
  for (int column = 0; column < columns; ++column)
    element(column) =
        cuts_off ? cut_off(static_cast<float>(sums[column])) : static_cast<float>(sums[column]);
}

template <int columns>
void multiply(Operands<columns> own) {
  static_assert(columns % 8 == 0 && columns <= 256);
  emulation::Block& block = emulation::current_block();
  block.check_is_hopper();
  block.with_warpgroup("wgmma", &own, [&](auto& threads) {
    const auto of = [&](int t) -> auto& { return *static_cast<Operands<columns>*>(threads[t]); };
    const Operands<columns>& first = of(0);
    emulation::SharedMemory::Pieces pieces;
    Left left;
    double right[kInputs][columns];
    DescribedMatrix(first.right).read(columns, pieces, [&](int column, int k, float number) {
      right[k][column] = number;
    });
    if (first.a == nullptr)
      DescribedMatrix(first.left).read(kWarpgroupRows, pieces, [&](int row, int k, float number) {
        left[row][k] = number;
      });
    const uint64_t ticket = block.next_ticket();
    const int first_warp = block.thread() / kWarpgroup * 4;
    for (int warp = 0; warp < 4; ++warp) {
      std::vector<emulation::RegisterUse*> registers;
      for (int t = warp * kWarp; t < (warp + 1) * kWarp; ++t) {
        if (of(t).right != first.right || of(t).left != first.left)
          emulation::fault("wgmma with several descriptors");
        registers.push_back(&of(t).d->use());
        if (of(t).a != nullptr) registers.push_back(&of(t).a->use());
      }
      emulation::WarpgroupQueue& queue = block.queue(first_warp + warp);
      for (const emulation::RegisterUse* use : registers) queue.check_registers(*use);
      queue.begin(block.shared(), {first_warp + warp, 0}, pieces, std::move(registers), ticket);
    }
    for (int t = 0; t < kWarpgroup; ++t)
      if (of(t).a != nullptr) take_left(left, t, of(t).a->registers());
    for (int row = 0; row < kWarpgroupRows; ++row)
      add_products(left[row], right, block.model().warpgroups_cut_off, [&](int column) -> float& {
        const int thread = row / 16 * kWarp + row % 8 * 4 + column % 8 / 2;
        return of(thread).d->registers()[column / 8 * 4 + row % 16 / 8 * 2 + column % 2];
      });
  });
}

}  // namespace warpgroup_unit

template <int count>
void multiply_async(WarpgroupRegisters<float, count>& d, LeftOperand& a, SwizzledMatrix right) {
  warpgroup_unit::multiply<2 * count>({&d, &a, 0, right.descriptor()});
}
template <int count>
void multiply_async(WarpgroupRegisters<float, count>& d, SwizzledMatrix left,
                    SwizzledMatrix right) {
  warpgroup_unit::multiply<2 * count>({&d, nullptr, left.descriptor(), right.descriptor()});
}

inline void fence_warpgroup() {
  emulation::Block& block = emulation::current_block();
  block.with_warp("wgmma.fence", nullptr, [&](auto&) { block.queue().fence(); });
}
inline void close_products() {
  emulation::Block& block = emulation::current_block();
  block.with_warp("wgmma.commit_group", nullptr, [&](auto&) { block.queue().commit(); });
}
template <int left>
void finish_products() {
  emulation::Block& block = emulation::current_block();
  block.with_warp("wgmma.wait_group", nullptr,
                  [&](auto&) { block.queue().wait(block.shared(), block.party().warp, left); });
}

// Registers of a thread change hands between the warpgroups of a block.
template <int count>
void keep_registers() {}
template <int count>
void take_registers() {}

#else

ON_DEVICE SwizzledMatrix::SwizzledMatrix(Shared<std::byte> at)
    : descriptor_(matrix_descriptor(shared_address(at.address()))) {}

// Registers as operands, and their numbers in the text of an instruction.
#define ERNE_4(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define ERNE_16(d, i) ERNE_4(d, i), ERNE_4(d, i + 4), ERNE_4(d, i + 8), ERNE_4(d, i + 12)
#define ERNE_ADD "{\n.reg .pred add;\nsetp.ne.b32 add, 1, 0;\n"
#define ERNE_FIRST_32                                                                      \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23," \
  "%24,%25,%26,%27,%28,%29,%30,%31"
#define ERNE_NEXT_32                                                                         \
  "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53," \
  "%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
// Behind the operands: that d counts, that neither a nor b is negated; then, for each one in
// shared memory, that its rows lie along k.
ON_DEVICE void multiply_async(Accumulators<64>& sums, LeftOperand& left, SwizzledMatrix right) {
  float* const d = sums.registers();
  const uint32_t* const a = left.registers();
  asm volatile(ERNE_ADD "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" ERNE_FIRST_32
                        "}, {%32,%33,%34,%35}, %36, add, 1, 1, 0;\n}"
               : ERNE_16(d, 0), ERNE_16(d, 16)
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(right.descriptor()));
}
ON_DEVICE void multiply_async(Accumulators<64>& sums, SwizzledMatrix left, SwizzledMatrix right) {
  float* const d = sums.registers();
  asm volatile(ERNE_ADD "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" ERNE_FIRST_32
                        "}, %32, %33, add, 1, 1, 0, 0;\n}"
               : ERNE_16(d, 0), ERNE_16(d, 16)
               : "l"(left.descriptor()), "l"(right.descriptor()));
}
ON_DEVICE void multiply_async(Accumulators<128>& sums, LeftOperand& left, SwizzledMatrix right) {
  float* const d = sums.registers();
  const uint32_t* const a = left.registers();
  asm volatile(ERNE_ADD "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" ERNE_FIRST_32
                        "," ERNE_NEXT_32 "}, {%64,%65,%66,%67}, %68, add, 1, 1, 0;\n}"
               : ERNE_16(d, 0), ERNE_16(d, 16), ERNE_16(d, 32), ERNE_16(d, 48)
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(right.descriptor()));
}
ON_DEVICE void multiply_async(Accumulators<128>& sums, SwizzledMatrix left, SwizzledMatrix right) {
  float* const d = sums.registers();
  asm volatile(ERNE_ADD "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" ERNE_FIRST_32
                        "," ERNE_NEXT_32 "}, %64, %65, add, 1, 1, 0, 0;\n}"
               : ERNE_16(d, 0), ERNE_16(d, 16), ERNE_16(d, 32), ERNE_16(d, 48)
               : "l"(left.descriptor()), "l"(right.descriptor()));
}
#undef ERNE_4
#undef ERNE_16
#undef ERNE_ADD
#undef ERNE_FIRST_32
#undef ERNE_NEXT_32

ON_DEVICE void fence_warpgroup() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
ON_DEVICE void close_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int left>
ON_DEVICE void finish_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(left) : "memory");
}

// Registers of a thread change hands between the warpgroups of a block.
template <int count>
ON_DEVICE void keep_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count));
}
template <int count>
ON_DEVICE void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count));
}

#endif

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
