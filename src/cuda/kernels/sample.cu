// Tokens drawn from logits, as backend/token_draw.h says. A row is cut into pieces, and three
// launches look at it:
//
//   FindBest  a block for each piece finds its best token;
//   Weigh     a block for each piece weighs its tokens: all of them together, or by bins of
//             distances where top_k or top_p will cut;
//   Choose    a block for each row finds where the cuts are, bin by bin and then inside one, weighs
//             the pieces with what is kept of them, and looks for the drawn token in one of them.
//
// So a row is read twice from end to end, by as many blocks as it has pieces. A greedy row is read
// once. Choose reads one piece where nothing cuts, and else those in which anything is kept: once,
// and once more for each time that a bin must be cut into finer ones, at most twice for a cut.
#include "backend/token_draw.h"

#include "cuda/kernels/dispatch.h"
#include "cuda/kernels/kernels.h"
#include "cuda/kernels/pieces.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

constexpr int kPieceTokens = 2048;
constexpr int kMostPieces = 64;
static_assert(kMaxDrawTokens <= int64_t{kPieceTokens} * kMostPieces);

// A token and its logit as a number that is the larger, the better the token is: the logit's rank,
// and below it the larger, the lower the id. 0: none.
using Ranked = uint64_t;
constexpr uint32_t kRankOfNan = ~uint32_t{0};  // better than all others, so that it is found

ON_DEVICE Ranked ranked(float logit, int32_t id) {
  auto bits = bits_as<uint32_t>(logit);
  if ((bits & 0x7F800000) == 0) bits = 0;  // denormals are zero, and zeros of both signs equal
  uint32_t rank = bits >> 31 ? ~bits : bits | 0x80000000u;
  if ((bits & 0x7FFFFFFF) > 0x7F800000) rank = kRankOfNan;
  return Ranked{rank} << 32 | ~static_cast<uint32_t>(id);
}
ON_DEVICE int32_t id_of(Ranked token) {
  return static_cast<int32_t>(~static_cast<uint32_t>(token));
}
ON_DEVICE float logit_of(Ranked token) {
  const auto rank = static_cast<uint32_t>(token >> 32);
  return bits_as<float>(rank >> 31 ? rank & 0x7FFFFFFF : ~rank);
}

// How many tokens, and what they weigh, in one number, so that one addition adds both: the weight
// of kMaxDrawTokens and their number have 64 bits.
using Tally = uint64_t;
constexpr int kTallyBits = 47;  // of the weight
constexpr Tally kOneToken = Tally{1} << kTallyBits;
static_assert(kMaxDrawTokens * kWholeWeight < int64_t{1} << kTallyBits);
static_assert(kMaxDrawTokens < int64_t{1} << (64 - kTallyBits));

ON_DEVICE Tally tally_of(int32_t distance) {
  return kOneToken + weight_at(distance);
}
ON_DEVICE int64_t count_in(Tally tally) {
  return static_cast<int64_t>(tally >> kTallyBits);
}
ON_DEVICE uint64_t weight_in(Tally tally) {
  return tally & (kOneToken - 1);
}

// Of the 27 bits of a distance the upper nine are its bin, and the next nine its finer bin in that,
// of which the last nine are the finest, where all distances are equal.
constexpr int kBinBits = 9, kBins = 1 << kBinBits, kFirstShift = 2 * kBinBits;
static_assert(kFarthest <= int64_t{kBins} << kFirstShift);

struct SampledRows {
  Global<float> logits;
  Global<TokenDraw> draws;
  int64_t stride;  // of a row
  int32_t num_tokens, num_pieces;
  // What launches leave for each other, of each row.
  Global<Ranked> bests;   // [kMostPieces]
  Global<Tally> weights;  // [kMostPieces], without counts; where nothing cuts
  Global<Tally> bins;     // [kBins]; where top_k or top_p cut

  // For all lanes of a warp.
  ON_DEVICE Ranked best_of(int row) const {
    Ranked best = 0;
    for (int piece = lane(); piece < num_pieces; piece += kWarp) {
      const Ranked other = bests[row * kMostPieces + piece];
      best = other > best ? other : best;
    }
    return warp_max(best);
  }
  // Whether a draw has a part in it: else the best is taken.
  ON_DEVICE static bool is_drawn(const TokenDraw& draw, Ranked best) {
    const float logit = logit_of(best);
    return draw.units_per_logit != 0 && logit - logit == 0;  // neither NaN nor infinite
  }
  ON_DEVICE bool is_cut(const TokenDraw& draw) const {
    return draw.top_k < num_tokens || draw.top_p < TokenDraw::kWholePart;
  }
};

// A thread's share of some neighbouring tokens, in registers: `count` of them, read `length` at a
// time.
template <int length, int count>
struct OwnTokens {
  using P = Piece<float, length>;

  P read[count / length];
  int32_t first, step, end;

  // Thread `thread` of `threads`, which have the tokens from `begin` on.
  ON_DEVICE OwnTokens(const SampledRows& rows, int row, int32_t begin, int thread, int threads)
      : first(begin + thread * length), step(threads * length), end(rows.num_tokens) {
    const Global<P> neighbours = (rows.logits + row * rows.stride).template as<P>();
    UNROLLED for (int i = 0; i < count / length; ++i) {
      if (first + i * step < end) read[i] = neighbours[(first + i * step) / length];
    }
  }

  // body(id, logit).
  template <class Body>
  ON_DEVICE void for_each(const Body& body) const {
    UNROLLED for (int i = 0; i < count; ++i) {
      const int32_t id = first + i / length * step + i % length;
      if (id < end) body(id, read[i / length].at[i % length]);
    }
  }
};

template <int length>
struct FindBest {
  static constexpr int kThreads = 256;

  SampledRows rows;

  size_t shared_bytes() const { return kThreads / kWarp * sizeof(Ranked); }

  ON_DEVICE void run() const {
    const int piece = block_x(), row = block_y();
    const Shared<Ranked> of_warps = shared_memory().as<Ranked>();
    const OwnTokens<length, kPieceTokens / kThreads> own(rows, row, piece * kPieceTokens,
                                                         thread_index(), kThreads);
    Ranked best = 0;
    own.for_each([&](int32_t id, float logit) {
      const Ranked token = ranked(logit, id);
      best = token > best ? token : best;
    });
    best = warp_max(best);
    if (lane() == 0) of_warps.set(warp(), best);
    for (int bin = piece * kThreads + thread_index(); bin < kBins; bin += grid_x() * kThreads)
      rows.bins.set(row * kBins + bin, 0);
    sync_block();
    if (thread_index() > 0) return;
    for (int i = 1; i < kThreads / kWarp; ++i) best = of_warps[i] > best ? of_warps[i] : best;
    rows.bests.set(row * kMostPieces + piece, best);
  }
};

template <int length>
struct Weigh {
  static constexpr int kThreads = 256;
  static constexpr int kLeastBlocks = 6;  // so that some compute while others wait for memory
  using Own = OwnTokens<length, kPieceTokens / kThreads>;

  SampledRows rows;

  size_t shared_bytes() const { return kBins * sizeof(Tally); }

  ON_DEVICE void run() const {
    const int row = block_y();
    const TokenDraw draw = rows.draws[row];
    if (draw.units_per_logit == 0) return;
    const Own own(rows, row, block_x() * kPieceTokens, thread_index(), kThreads);
    const Ranked best = rows.best_of(row);
    if (!rows.is_drawn(draw, best)) return;
    // body(distance) of those that min_p keeps.
    const auto for_distances = [&](const auto& body) {
      own.for_each([&](int32_t, float logit) {
        const int32_t distance = token_distance(logit_of(best), logit, draw.units_per_logit);
        if (distance < draw.end_distance) body(distance);
      });
    };
    rows.is_cut(draw) ? fill_bins(for_distances) : add_up(for_distances);
  }

  ON_DEVICE void fill_bins(const auto& for_distances) const {
    const Shared<Tally> bins = shared_memory().as<Tally>();
    for (int bin = thread_index(); bin < kBins; bin += kThreads) bins.set(bin, 0);
    sync_block();
    for_distances([&](int32_t distance) { bins.add(distance >> kFirstShift, tally_of(distance)); });
    sync_block();
    for (int bin = thread_index(); bin < kBins; bin += kThreads)
      if (bins[bin] != 0) rows.bins.add(block_y() * kBins + bin, bins[bin]);
  }

  ON_DEVICE void add_up(const auto& for_distances) const {
    const Shared<Tally> of_warps = shared_memory().as<Tally>();
    Tally weight = 0;
    for_distances([&](int32_t distance) { weight += weight_at(distance); });
    weight = warp_sum(weight);
    if (lane() == 0) of_warps.set(warp(), weight);
    sync_block();
    if (thread_index() > 0) return;
    for (int i = 1; i < kThreads / kWarp; ++i) weight += of_warps[i];
    rows.weights.set(block_y() * kMostPieces + block_x(), weight);
  }
};

template <int length>
struct Choose {
  static constexpr int kThreads = 512;
  static constexpr int kWarps = kThreads / kWarp;
  static constexpr int kStripTokens = 512;  // what a warp reads at a time
  static constexpr int kStrips = kPieceTokens / kStripTokens;
  static constexpr int kThreadTokens = kPieceTokens / kThreads;
  static_assert(kThreads == kBins && kThreads >= kMostPieces);

  SampledRows rows;
  Global<int32_t> tokens;

  // The first of the threads whose tallies come to something, what those before it have and what it
  // has.
  struct Found {
    Tally before, own;
    int32_t thread;
  };
  // What the cuts leave: all tokens nearer than `end`, and the first `ties` by id of those that are
  // as far.
  struct Kept {
    int32_t end;
    int64_t ties;
    uint64_t tie_weight;

    // Of a tally of the nearer ones' weight and the others' number.
    ON_DEVICE uint64_t weight_of(Tally tally) const {
      const int64_t count = count_in(tally);
      return weight_in(tally) + static_cast<uint64_t>(count < ties ? count : ties) * tie_weight;
    }
    ON_DEVICE Tally counted(int32_t distance) const {
      if (distance < end) return weight_at(distance);
      return distance == end && ties > 0 ? kOneToken : 0;
    }
  };
  // What a cut keeps: the first tokens that are so many and weigh so much.
  struct Goal {
    int64_t count;
    uint64_t weight;
    ON_DEVICE bool is_reached(Tally tally) const {
      return count_in(tally) >= count && weight_in(tally) >= weight;
    }
  };
  struct Drawn {  // the row's
    int row;
    TokenDraw draw;
    float best;
    ON_DEVICE int32_t distance_of(float logit) const {
      return token_distance(best, logit, draw.units_per_logit);
    }
    // Of a bin that begins at `begin`; min_p cuts the last one.
    ON_DEVICE int32_t end_of_bin(int32_t begin, int shift) const {
      const int32_t end = begin + (1 << shift);
      return end < draw.end_distance ? end : draw.end_distance;
    }
  };

  size_t shared_bytes() const {
    return (kBins + kMostPieces + kWarps) * sizeof(Tally) + sizeof(Found);
  }
  ON_DEVICE static Shared<Tally> bins() { return shared_memory().as<Tally>(); }
  ON_DEVICE static Shared<Tally> pieces() { return bins() + kBins; }
  ON_DEVICE static Shared<Tally> of_warps() { return pieces() + kMostPieces; }
  ON_DEVICE static Shared<Found> found() { return (of_warps() + kWarps).template as<Found>(); }

  ON_DEVICE void run() const {
    const int row = block_x();
    const Ranked best = rows.best_of(row);
    const Drawn of{row, rows.draws[row], logit_of(best)};
    if (rows.is_drawn(of.draw, best))
      draw(of);
    else if (thread_index() == 0)
      tokens.set(row, best >> 32 == kRankOfNan ? -1 : id_of(best));
  }

  ON_DEVICE void draw(const Drawn& of) const {
    Kept kept{of.draw.end_distance, 0, 0};
    Tally piece = 0;  // of each thread
    if (rows.is_cut(of.draw)) {
      kept = cut(of);
      weigh_pieces(of, kept);
      if (thread_index() < rows.num_pieces) piece = pieces()[thread_index()];
    } else if (thread_index() < rows.num_pieces) {
      piece = rows.weights[of.row * kMostPieces + thread_index()];
    }
    const uint64_t target = part_of(kept.weight_of(total(piece)), of.draw.random);
    const Found in = first(piece, [&](Tally tally) { return kept.weight_of(tally) > target; });

    const OwnTokens<1, kThreadTokens> own(
        rows, of.row, in.thread * kPieceTokens + thread_index() * kThreadTokens, 0, 1);
    Tally tally = 0;
    own.for_each([&](int32_t, float logit) { tally += kept.counted(of.distance_of(logit)); });
    const Found at =
        first(tally, [&](Tally upto) { return kept.weight_of(in.before + upto) > target; });
    if (thread_index() != at.thread) return;
    Tally before = in.before + at.before;
    own.for_each([&](int32_t id, float logit) {
      const bool was_reached = kept.weight_of(before) > target;
      before += kept.counted(of.distance_of(logit));
      if (!was_reached && kept.weight_of(before) > target) tokens.set(of.row, id);
    });
  }

  // top_k, and top_p of what that leaves.
  ON_DEVICE Kept cut(const Drawn& of) const {
    const Tally all = total(rows.bins[of.row * kBins + thread_index()]);
    Kept kept{of.draw.end_distance, 0, 0};
    uint64_t weight = weight_in(all);
    if (of.draw.top_k < count_in(all)) kept = first_that_reach(of, {of.draw.top_k, 0}, weight);
    if (of.draw.top_p < TokenDraw::kWholePart)
      kept = first_that_reach(of, {1, wanted_weight(of.draw, weight)}, weight);
    return kept;
  }

  // `weight` becomes theirs. A bin of one token needs no finer ones.
  ON_DEVICE Kept first_that_reach(const Drawn& of, const Goal& goal, uint64_t& weight) const {
    Tally bin = rows.bins[of.row * kBins + thread_index()], before = 0;
    int32_t begin = 0;
    for (int shift = kFirstShift;; shift -= kBinBits) {
      const Found in = first(bin, [&](Tally tally) { return goal.is_reached(before + tally); });
      before += in.before;
      begin += in.thread << shift;
      if (count_in(in.own) == 1) {
        weight = weight_in(before + in.own);
        return {of.end_of_bin(begin, shift), 0, 0};
      }
      if (shift == 0) break;
      fill_bins(of, begin, shift);
      bin = bins()[thread_index()];
    }
    const uint64_t one = weight_at(begin), nearer = weight_in(before);
    const int64_t by_count = goal.count - count_in(before);
    const int64_t by_weight =
        goal.weight > nearer ? static_cast<int64_t>((goal.weight - nearer + one - 1) / one) : 0;
    const int64_t ties = by_count > by_weight ? by_count : by_weight;
    weight = nearer + static_cast<uint64_t>(ties) * one;
    return {begin, ties, one};
  }

  // The finer bins of the one that begins at `begin`.
  ON_DEVICE void fill_bins(const Drawn& of, int32_t begin, int shift) const {
    bins().set(thread_index(), 0);
    sync_block();
    const int32_t end = of.end_of_bin(begin, shift);
    for_strips(of, end, [&](int, const auto& strip) {
      strip.for_each([&](int32_t, float logit) {
        const int32_t distance = of.distance_of(logit);
        if (distance >= begin && distance < end)
          bins().add((distance - begin) >> (shift - kBinBits), tally_of(distance));
      });
    });
    sync_block();
  }

  ON_DEVICE void weigh_pieces(const Drawn& of, const Kept& kept) const {
    if (thread_index() < kMostPieces) pieces().set(thread_index(), 0);
    sync_block();
    for_strips(of, kept.end + 1, [&](int piece, const auto& strip) {
      Tally tally = 0;
      strip.for_each([&](int32_t, float logit) { tally += kept.counted(of.distance_of(logit)); });
      tally = warp_sum(tally);
      if (lane() == 0) pieces().add(piece, tally);
    });
    sync_block();
  }

  // body(piece, tokens) for each of a warp's strips of the pieces that have a token nearer than
  // `end`.
  template <class Body>
  ON_DEVICE void for_strips(const Drawn& of, int32_t end, const Body& body) const {
    for (int strip = warp(); strip < rows.num_pieces * kStrips; strip += kWarps) {
      const int piece = strip / kStrips;
      const float best = logit_of(rows.bests[of.row * kMostPieces + piece]);
      if (of.distance_of(best) >= end) continue;
      body(piece, OwnTokens<length, kStripTokens / kWarp>(rows, of.row, strip * kStripTokens,
                                                          lane(), kWarp));
    }
  }

  // Of all threads. reaches(tally) of what the first threads have is false, then true.
  template <class Reaches>
  ON_DEVICE Found first(Tally own, const Reaches& reaches) const {
    Tally end = warp_running_sum(own);
    if (lane() == kWarp - 1) of_warps().set(warp(), end);
    sync_block();
    for (int w = 0; w < warp(); ++w) end += of_warps()[w];
    if (reaches(end) && !reaches(end - own)) found().set(0, {end - own, own, thread_index()});
    sync_block();
    return found()[0];
  }
  ON_DEVICE Tally total(Tally own) const {
    own = warp_sum(own);
    if (lane() == 0) of_warps().set(warp(), own);
    sync_block();
    Tally sum = 0;
    for (int w = 0; w < kWarps; ++w) sum += of_warps()[w];
    sync_block();
    return sum;
  }
};

}  // namespace

namespace kernels {

void sample(Stream& stream, Scratch& scratch, const SampleArgs& args) {
  const int64_t num_rows = args.logits.shape[0];
  SampledRows rows{.logits = global<float>(args.logits),
                   .draws = global<TokenDraw>(args.draws.values),
                   .stride = args.logits.shape[1],
                   .num_tokens = static_cast<int32_t>(args.num_tokens),
                   .num_pieces = static_cast<int32_t>(pieces(args.num_tokens, kPieceTokens)),
                   .bests = take<Ranked>(scratch, num_rows * kMostPieces),
                   .weights = take<Tally>(scratch, num_rows * kMostPieces),
                   .bins = take<Tally>(scratch, num_rows * kBins)};
  const auto run = [&]<int length>() {
    launch(stream, {rows.num_pieces, num_rows}, FindBest<length>{rows});
    launch(stream, {rows.num_pieces, num_rows}, Weigh<length>{rows});
    launch(stream, {num_rows}, Choose<length>{rows, global<int32_t>(args.tokens)});
  };
  if (rows.stride % kPieceLength<float> == 0)
    run.template operator()<kPieceLength<float>>();
  else
    run.template operator()<1>();
}

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
