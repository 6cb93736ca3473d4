#include "bench/serve_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "bench/svg_plot.h"

namespace erne::bench {
namespace {

double milliseconds(int64_t us) {
  return static_cast<double>(us) * 1e-3;
}

// The latencies of every completed request, in milliseconds.
struct Latencies {
  std::vector<double> ttft, tpot, itl, e2e;

  explicit Latencies(std::span<const RequestOutcome> outcomes) {
    for (const RequestOutcome& outcome : outcomes) {
      if (outcome.ok()) add(outcome);
    }
  }

 private:
  void add(const RequestOutcome& outcome) {
    const TokenEvent& first = outcome.events.front();
    const TokenEvent& last = outcome.events.back();
    ttft.push_back(milliseconds(first.time_us - outcome.start_us));
    e2e.push_back(milliseconds(outcome.end_us - outcome.start_us));
    for (size_t i = 1; i < outcome.events.size(); ++i) {
      itl.push_back(milliseconds(outcome.events[i].time_us - outcome.events[i - 1].time_us));
    }
    const int64_t tokens_after_first = outcome.output_tokens - first.num_tokens;
    if (outcome.events.size() > 1 && tokens_after_first > 0) {
      tpot.push_back(milliseconds(last.time_us - first.time_us) /
                     static_cast<double>(tokens_after_first));
    }
  }
};

Counts most_frequent_first(const std::map<std::string, int64_t>& counts) {
  Counts sorted(counts.begin(), counts.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  if (sorted.size() <= kMaxReasons) return sorted;
  int64_t others = 0;
  for (size_t i = kMaxReasons; i < sorted.size(); ++i) others += sorted[i].second;
  sorted.resize(kMaxReasons);
  sorted.emplace_back("(other reasons)", others);
  return sorted;
}

Json to_json(const Counts& counts) {
  Json::Object object;
  for (const auto& [name, count] : counts) object.emplace_back(name, count);
  return object;
}

Json to_json(const ServeReport& report, const DecodeFloor& floor) {
  Json json = Json::Object{{"weight_bytes", floor.weight_bytes},
                           {"read_gb_per_s", floor.gb_per_s},
                           {"decode_step_ms", floor.step_ms()}};
  if (report.tpot_ms.count > 0) {
    json.set("tpot_p50_over_floor", report.tpot_ms.p50 / floor.step_ms());
  }
  return json;
}

// Both curves of the throughput panel, over about a hundred steps of time.
struct Timeline {
  std::vector<double> tokens;   // in each step
  std::vector<double> streams;  // open at its beginning
  double step_s = 0;
};

Timeline timeline(std::span<const RequestOutcome> outcomes) {
  int64_t begin_us = INT64_MAX, end_us = 0;
  for (const RequestOutcome& outcome : outcomes) {
    begin_us = std::min(begin_us, outcome.start_us);
    end_us = std::max(end_us, outcome.end_us);
  }
  Timeline line;
  if (begin_us >= end_us) return line;
  constexpr int64_t kNumSteps = 100;
  const int64_t step_us = (end_us - begin_us) / kNumSteps + 1;
  const auto step_of = [&](int64_t time_us) {
    return static_cast<size_t>((time_us - begin_us) / step_us);
  };
  line.step_s = static_cast<double>(step_us) * 1e-6;
  line.tokens.resize(step_of(end_us) + 1);
  line.streams.resize(line.tokens.size());
  for (const RequestOutcome& outcome : outcomes) {
    for (const TokenEvent& event : outcome.events) {
      line.tokens[step_of(event.time_us)] += static_cast<double>(event.num_tokens);
    }
    const int64_t first_begin = (outcome.start_us - begin_us + step_us - 1) / step_us;
    for (auto i = static_cast<size_t>(first_begin); i < line.streams.size(); ++i) {
      if (begin_us + static_cast<int64_t>(i) * step_us >= outcome.end_us) break;
      ++line.streams[i];
    }
  }
  return line;
}

}  // namespace

double ServeReport::per_second(int64_t amount) const {
  return duration_s > 0 ? static_cast<double>(amount) / duration_s : 0;
}

ServeReport make_report(std::span<const RequestOutcome> outcomes,
                        std::optional<DecodeFloor> floor) {
  ServeReport report;
  std::map<std::string, int64_t> failures, finish_reasons;
  int64_t begin_us = INT64_MAX, end_us = 0;
  for (const RequestOutcome& outcome : outcomes) {
    begin_us = std::min(begin_us, outcome.start_us);
    end_us = std::max(end_us, outcome.end_us);
    if (!outcome.ok()) {
      ++report.failed;
      ++failures[outcome.failure];
      continue;
    }
    ++report.completed;
    ++finish_reasons[outcome.finish_reason.empty() ? "(none)" : outcome.finish_reason];
    report.input_tokens += outcome.input_tokens;
    report.cached_tokens += outcome.cached_tokens;
    report.output_tokens += outcome.output_tokens;
  }
  if (end_us > begin_us) report.duration_s = static_cast<double>(end_us - begin_us) * 1e-6;
  report.failures = most_frequent_first(failures);
  report.finish_reasons = most_frequent_first(finish_reasons);
  Latencies latencies(outcomes);
  report.ttft_ms = summarize(std::move(latencies.ttft));
  report.tpot_ms = summarize(std::move(latencies.tpot));
  report.itl_ms = summarize(std::move(latencies.itl));
  report.e2e_ms = summarize(std::move(latencies.e2e));
  report.floor = floor;
  return report;
}

Json to_json(const ServeReport& report) {
  const int64_t all_tokens = report.input_tokens + report.output_tokens;
  return Json::Object{{"duration_s", report.duration_s},
                      {"completed", report.completed},
                      {"failed", report.failed},
                      {"failures", to_json(report.failures)},
                      {"finish_reasons", to_json(report.finish_reasons)},
                      {"input_tokens", report.input_tokens},
                      {"cached_tokens", report.cached_tokens},
                      {"output_tokens", report.output_tokens},
                      {"requests_per_s", report.per_second(report.completed)},
                      {"input_tokens_per_s", report.per_second(report.input_tokens)},
                      {"output_tokens_per_s", report.per_second(report.output_tokens)},
                      {"total_tokens_per_s", report.per_second(all_tokens)},
                      {"ttft_ms", to_json(report.ttft_ms)},
                      {"tpot_ms", to_json(report.tpot_ms)},
                      {"itl_ms", to_json(report.itl_ms)},
                      {"e2e_ms", to_json(report.e2e_ms)},
                      {"floor", report.floor ? to_json(report, *report.floor) : Json(nullptr)}};
}

std::string to_text(const ServeReport& report) {
  std::string text;
  const auto add = [&]<class... Args>(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
  };
  add("requests    {} completed, {} failed in {:.2f} s ({:.2f} per s)\n", report.completed,
      report.failed, report.duration_s, report.per_second(report.completed));
  for (const auto& [reason, count] : report.failures) add("  failed    {} x {}\n", count, reason);
  for (const auto& [reason, count] : report.finish_reasons)
    add("  finished  {} x {}\n", count, reason);
  add("tokens      {} in ({} from the prefix cache), {} out\n", report.input_tokens,
      report.cached_tokens, report.output_tokens);
  add("throughput  {:.1f} tok/s out, {:.1f} in, {:.1f} in all\n",
      report.per_second(report.output_tokens), report.per_second(report.input_tokens),
      report.per_second(report.input_tokens + report.output_tokens));
  add("{:12}{:>10}{:>10}{:>10}{:>10}{:>10}\n", "ms", "mean", "p50", "p90", "p95", "p99");
  const std::pair<const char*, const Summary*> rows[] = {{"TTFT", &report.ttft_ms},
                                                         {"TPOT", &report.tpot_ms},
                                                         {"ITL", &report.itl_ms},
                                                         {"E2E", &report.e2e_ms}};
  for (const auto& [name, s] : rows) {
    if (s->count == 0) {
      add("{:12}{:>10}\n", name, "-");
    } else {
      add("{:12}{:10.2f}{:10.2f}{:10.2f}{:10.2f}{:10.2f}\n", name, s->mean, s->p50, s->p90, s->p95,
          s->p99);
    }
  }
  if (!report.floor) {
    add("floor       not known: it needs a server on this machine and its weights' size (--model "
        "or "
        "--weight-bytes)\n");
  } else {
    add("floor       {:.3f} ms per decode step: {:.1f} MB of weights at {:.1f} GB/s\n",
        report.floor->step_ms(), static_cast<double>(report.floor->weight_bytes) * 1e-6,
        report.floor->gb_per_s);
    if (report.tpot_ms.count > 0) {
      add("measured / floor  {:.2f}  (TPOT p50)\n", report.tpot_ms.p50 / report.floor->step_ms());
    }
  }
  return text;
}

std::string to_svg(std::string_view title, std::span<const RequestOutcome> outcomes) {
  Latencies latencies(outcomes);
  Series tokens{.label = "output tokens per s", .points = {}, .steps = true};
  Series streams{.label = "streams open", .points = {}, .steps = true};
  const Timeline line = timeline(outcomes);
  for (size_t i = 0; i < line.tokens.size(); ++i) {
    const double at_s = static_cast<double>(i) * line.step_s;
    tokens.points.push_back({at_s, line.tokens[i] / line.step_s});
    streams.points.push_back({at_s, line.streams[i]});
  }
  const char* share = "share of samples (%)";
  const Panel panels[] = {
      {.title = "Time to first token",
       .x_label = "TTFT (ms)",
       .y_label = share,
       .series = {cumulative_distribution("TTFT", std::move(latencies.ttft))},
       .y_max = 100},
      {.title = "Time between tokens",
       .x_label = "ITL (ms)",
       .y_label = share,
       .series = {cumulative_distribution("ITL", std::move(latencies.itl))},
       .y_max = 100},
      {.title = "Throughput",
       .x_label = "time (s)",
       .y_label = "output (tok/s)",
       .series = {std::move(tokens)}},
      {.title = "Load",
       .x_label = "time (s)",
       .y_label = "open streams",
       .series = {std::move(streams)}},
  };
  return render_svg(title, panels);
}

}  // namespace erne::bench
