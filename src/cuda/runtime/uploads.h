// Host memory on its way to the device, which nobody waits for: it passes through pinned pieces in
// turn, and a piece is written again when what it held has been copied.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "base/check.h"
#include "cuda/runtime/runtime.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

class Uploads {
 public:
  explicit Uploads(Runtime& runtime) : runtime_(runtime) {
    for (Piece& piece : pieces_) piece = {runtime.allocate_host(kPieceBytes), runtime.make_mark()};
  }
  ~Uploads() {
    runtime_.finish();
    for (const Piece& piece : pieces_) runtime_.free_host(piece.pinned);
  }
  Uploads(const Uploads&) = delete;
  Uploads& operator=(const Uploads&) = delete;

  // `from` has been read when this returns.
  void upload(std::span<const std::byte> from, std::byte* to) {
    CHECK(!runtime_.is_recording());  // a graph would repeat the copy, and not the filling
    for (size_t at = 0; at < from.size(); at += kPieceBytes)
      upload_piece(from.subspan(at, std::min(kPieceBytes, from.size() - at)), to + at);
  }

 private:
  // A step's lists have a few KB; while it runs, those of steps behind it may be on their way.
  static constexpr size_t kPieceBytes = 256 << 10;
  static constexpr size_t kPieces = 4;

  struct Piece {
    void* pinned = nullptr;
    std::unique_ptr<Mark> copied;
  };

  void upload_piece(std::span<const std::byte> from, std::byte* to) {
    Piece& piece = pieces_[next_];
    next_ = (next_ + 1) % kPieces;
    runtime_.wait(*piece.copied);
    std::memcpy(piece.pinned, from.data(), from.size());
    runtime_.copy_in(piece.pinned, to, from.size());
    runtime_.set(*piece.copied);
  }

  Runtime& runtime_;
  std::array<Piece, kPieces> pieces_;
  size_t next_ = 0;
};

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
