// Rows read and written in pieces of 16 bytes, for kernels that do the same to each number.
#pragma once

#include "cuda/kernels/dispatch.h"
#include "cuda/language/device_code.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

// Neighbours that a thread reads at once.
template <class T, int count>
struct alignas(sizeof(T) * count) Piece {
  T at[count];
};
// 16 bytes of them, or one where rows have no multiple.
template <class T>
constexpr int kPieceLength = static_cast<int>(sizeof(Words4) / sizeof(T));

// body.operator()<T, length of a piece>().
template <class Body>
void with_pieces(DType dtype, int64_t width, const Body& body) {
  with_activation(dtype, [&]<class T>() {
    if (width % kPieceLength<T> == 0)
      body.template operator()<T, kPieceLength<T>>();
    else
      body.template operator()<T, 1>();
  });
}

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
