// Memory in which the kernels of one op leave something for each other. An op takes pieces of it;
// the next op begins anew with all of it, since kernels run in the order in which they were asked
// for. It grows by what an op finds missing and never gives any back: a recorded graph keeps the
// addresses it was recorded with. Equal ops take equal pieces, so an op that ran once has what it
// needs when it is recorded; growing while a graph is recorded ends the program.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/check.h"
#include "cuda/runtime/runtime.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

class Scratch {
 public:
  explicit Scratch(Runtime& runtime) : runtime_(runtime) {}
  ~Scratch() {
    for (const Piece& piece : pieces_) runtime_.free(piece.data);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // What was taken before is free.
  void begin_op() { current_ = used_ = 0; }

  // Memory until the next op, at a multiple of 256 bytes; what lies there is whatever an earlier op
  // left. Launchers call take() of cuda/kernels/dispatch.h.
  std::byte* bytes(size_t count) {
    const size_t wanted = (count + kAlignment - 1) / kAlignment * kAlignment;
    while (current_ < pieces_.size() && used_ + wanted > pieces_[current_].bytes) {
      ++current_;
      used_ = 0;
    }
    if (current_ == pieces_.size()) grow(wanted);
    std::byte* const at = pieces_[current_].data + used_;
    used_ += wanted;
    return at;
  }

 private:
  static constexpr size_t kAlignment = 256;
  static constexpr size_t kLeastPiece = size_t{1} << 20;

  struct Piece {
    std::byte* data;
    size_t bytes;
  };

  // By twice the last piece at least, so that there are few of them.
  void grow(size_t wanted) {
    CHECK(!runtime_.is_recording());
    const size_t size = std::max(wanted, pieces_.empty() ? kLeastPiece : 2 * pieces_.back().bytes);
    pieces_.push_back({static_cast<std::byte*>(runtime_.allocate(size)), size});
  }

  Runtime& runtime_;
  std::vector<Piece> pieces_;
  size_t current_ = 0;  // pieces before it are in use
  size_t used_ = 0;     // bytes of the current one
};

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
