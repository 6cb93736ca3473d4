#include "server/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <iterator>
#include <mutex>
#include <vector>

namespace erne::server {
namespace {

using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Registry;
using Buckets = Histogram::BucketBoundaries;

constexpr double kMicro = 1e-6;

// FastDeploy's, which end at 1 s, and on to what a long prompt in a queue takes.
const Buckets kFirstTokenBuckets = {.001, .005, .01, .02, .04, .06, .08, .1, .25, .5,
                                    .75,  1,    2.5, 5,   10,  20,  40,  80, 160, 640};
const Buckets kPerTokenBuckets = {.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1};
const Buckets kRequestBuckets = {.3, .5, .8, 1,  1.5, 2,   2.5, 5,   10,   15,  20,
                                 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680};
const Buckets kHttpBuckets = {.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60};
const Buckets kTokenCountBuckets = {1,   2,    5,    10,   20,    50,    100,  200,
                                    500, 1000, 2000, 5000, 10000, 20000, 33792};

// Brings a counter to a total that the engine keeps.
void advance(Counter& counter, int64_t total) {
  const double increase = static_cast<double>(total) - counter.Value();
  if (increase > 0) counter.Increment(increase);
}

double ratio(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

// The tables: a metric is a row. What the engine's statistics say is read when /metrics is.
struct Stats : engine::EngineStats {
  size_t request_memory, max_request_memory;  // bytes
};

int64_t available(const Stats& stats) {
  return stats.free_blocks + stats.cached_blocks;
}

int64_t device_cached(const Stats& stats) {
  return stats.cached_prompt_tokens - stats.host_cached_prompt_tokens;
}

struct GaugeRow {
  const char *name, *help;
  double (*value)(const Stats&);
};
constexpr GaugeRow kGauges[] = {
    {"fastdeploy:num_requests_running", "Requests being computed",
     [](const Stats& s) { return double(s.running); }},
    {"fastdeploy:num_requests_waiting", "Requests waiting",
     [](const Stats& s) { return double(s.waiting); }},
    {"fastdeploy:batch_size", "Requests being computed",
     [](const Stats& s) { return double(s.running); }},
    {"fastdeploy:max_batch_size", "Most requests computed at once",
     [](const Stats& s) { return double(s.max_running); }},
    {"fastdeploy:available_batch_size", "Room for more requests at once",
     [](const Stats& s) { return double(s.max_running - s.running); }},
    {"fastdeploy:gpu_cache_usage_perc", "Share of KV blocks in use, 0 to 1",
     [](const Stats& s) { return ratio(s.total_blocks - available(s), s.total_blocks); }},
    {"fastdeploy:max_gpu_block_num", "KV blocks",
     [](const Stats& s) { return double(s.total_blocks); }},
    {"fastdeploy:free_gpu_block_num", "KV blocks that hold nothing",
     [](const Stats& s) { return double(s.free_blocks); }},
    {"fastdeploy:available_gpu_block_num", "KV blocks free or holding a prefix nobody uses now",
     [](const Stats& s) { return double(available(s)); }},
    {"fastdeploy:available_gpu_resource", "Share of KV blocks available, 0 to 1",
     [](const Stats& s) { return ratio(available(s), s.total_blocks); }},
    {"fastdeploy:hit_token_rate", "Share of prompt tokens that came from the prefix cache, 0 to 1",
     [](const Stats& s) { return ratio(s.cached_prompt_tokens, s.prompt_tokens); }},
    {"fastdeploy:gpu_hit_token_rate",
     "Share of prompt tokens that came from the device's tier of the prefix cache, 0 to 1",
     [](const Stats& s) { return ratio(device_cached(s), s.prompt_tokens); }},
    {"fastdeploy:cpu_hit_token_rate",
     "Share of prompt tokens that came from the CPU tier of the prefix cache, 0 to 1",
     [](const Stats& s) { return ratio(s.host_cached_prompt_tokens, s.prompt_tokens); }},
    {"erne:max_cpu_block_num", "KV blocks of the CPU tier",
     [](const Stats& s) { return double(s.host_blocks); }},
    {"erne:free_cpu_block_num", "KV blocks of the CPU tier that hold nothing",
     [](const Stats& s) { return double(s.host_blocks - s.host_cached_blocks); }},
    {"erne:step_token_budget",
     "Most tokens the last step might compute, so that prompts do not hold up answers",
     [](const Stats& s) { return double(s.token_budget); }},
    {"erne:request_memory_bytes", "Memory that requests have claimed",
     [](const Stats& s) { return double(s.request_memory); }},
    {"erne:max_request_memory_bytes", "Memory that all requests together may claim",
     [](const Stats& s) { return double(s.max_request_memory); }},
};

struct TotalRow {
  const char *name, *help;
  int64_t (*total)(const Stats&);
};
constexpr TotalRow kTotals[] = {
    {"fastdeploy:generation_tokens_total", "Tokens generated",
     [](const Stats& s) { return s.generated_tokens; }},
    {"fastdeploy:prompt_tokens_total", "Prompt tokens admitted",
     [](const Stats& s) { return s.prompt_tokens; }},
    {"fastdeploy:prefix_cache_token_num_total", "Prompt tokens that came from the prefix cache",
     [](const Stats& s) { return s.cached_prompt_tokens; }},
    {"fastdeploy:prefix_gpu_cache_token_num_total",
     "Prompt tokens that came from the device's tier of the prefix cache", device_cached},
    {"fastdeploy:prefix_cpu_cache_token_num_total",
     "Prompt tokens that came from the CPU tier of the prefix cache",
     [](const Stats& s) { return s.host_cached_prompt_tokens; }},
    {"fastdeploy:preemptions_total", "Requests put back for want of KV blocks",
     [](const Stats& s) { return s.preemptions; }},
};

// What the server counts itself. The rows of the next two tables are in the order of their enums.
enum Counted { kRequests, kSuccesses };
struct CountedRow {
  const char *name, *help;
};
constexpr CountedRow kCounted[] = {
    {"fastdeploy:requests_number_total", "Requests given to the engine"},
    {"fastdeploy:request_success_total", "Requests that ended with a result"},
};

enum Observed {
  kFirstToken,
  kPerToken,
  kQueued,
  kPrefill,
  kDecode,
  kInference,
  kTotal,
  kGeneratedTokens,
  kPromptTokens,
  kMaxTokens,
};
struct ObservedRow {
  const char *name, *help;
  const Buckets& buckets;
};
const ObservedRow kObserved[] = {
    {"fastdeploy:time_to_first_token_seconds", "From submission to the first token",
     kFirstTokenBuckets},
    {"fastdeploy:time_per_output_token_seconds", "Between one token and the next",
     kPerTokenBuckets},
    {"fastdeploy:request_queue_time_seconds", "From submission to the first step", kRequestBuckets},
    {"fastdeploy:request_prefill_time_seconds", "From the first step to the first token",
     kRequestBuckets},
    {"fastdeploy:request_decode_time_seconds", "From the first token to the last", kRequestBuckets},
    {"fastdeploy:request_inference_time_seconds", "From the first step to the end",
     kRequestBuckets},
    {"fastdeploy:e2e_request_latency_seconds", "From submission to the end", kRequestBuckets},
    {"fastdeploy:request_generation_tokens", "Tokens generated per request", kTokenCountBuckets},
    {"fastdeploy:request_prompt_tokens", "Prompt tokens per request", kTokenCountBuckets},
    {"fastdeploy:request_params_max_tokens", "Most tokens a request may generate",
     kTokenCountBuckets},
};

Counter& add_counter(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({});
}

}  // namespace

struct Metrics::State {
  State() {
    for (const GaugeRow& row : kGauges)
      gauges.push_back(
          &prometheus::BuildGauge().Name(row.name).Help(row.help).Register(registry).Add({}));
    for (const TotalRow& row : kTotals)
      totals.push_back(&add_counter(registry, row.name, row.help));
    for (const CountedRow& row : kCounted)
      counted.push_back(&add_counter(registry, row.name, row.help));
    for (const ObservedRow& row : kObserved)
      observed.push_back(
          &prometheus::BuildHistogram().Name(row.name).Help(row.help).Register(registry).Add(
              {}, row.buckets));
    http_requests = &prometheus::BuildCounter()
                         .Name("http_requests_total")
                         .Help("HTTP requests answered")
                         .Register(registry);
    http_seconds = &prometheus::BuildHistogram()
                        .Name("http_request_duration_seconds")
                        .Help("From the header to the end of the answer")
                        .Register(registry);
  }

  Registry registry;
  std::mutex render_mutex;
  std::vector<Gauge*> gauges;
  std::vector<Counter*> totals, counted;
  std::vector<Histogram*> observed;
  prometheus::Family<Counter>* http_requests;
  prometheus::Family<Histogram>* http_seconds;
};

Metrics::Metrics() : state_(std::make_unique<State>()) {}
Metrics::~Metrics() = default;

void Metrics::http_answered(std::string_view method, std::string_view route, int status,
                            double seconds) {
  const std::map<std::string, std::string> labels = {{"method", std::string(method)},
                                                     {"path", std::string(route)}};
  state_->http_seconds->Add(labels, kHttpBuckets).Observe(seconds);
  auto with_status = labels;
  with_status.emplace("status_code", std::to_string(status));
  state_->http_requests->Add(with_status).Increment();
}

void Metrics::request_submitted(int prompt_tokens, int max_tokens) {
  state_->counted[kRequests]->Increment();
  state_->observed[kPromptTokens]->Observe(prompt_tokens);
  state_->observed[kMaxTokens]->Observe(max_tokens);
}

void Metrics::inter_token(double seconds) {
  state_->observed[kPerToken]->Observe(seconds);
}

void Metrics::first_token(double since_submitted_s, double queued_s, double prefill_s) {
  state_->observed[kFirstToken]->Observe(since_submitted_s);
  state_->observed[kQueued]->Observe(queued_s);
  state_->observed[kPrefill]->Observe(prefill_s);
}

void Metrics::request_finished(const Finished& finished) {
  if (finished.success) state_->counted[kSuccesses]->Increment();
  state_->observed[kGeneratedTokens]->Observe(finished.generated_tokens);
  state_->observed[kInference]->Observe(finished.inference_s);
  state_->observed[kDecode]->Observe(finished.decode_s);
  state_->observed[kTotal]->Observe(finished.total_s);
}

std::string Metrics::render(const engine::EngineStats& engine, const RequestMemory& memory) {
  State& s = *state_;
  const Stats stats{engine, memory.used(), memory.limit()};
  const std::lock_guard lock(s.render_mutex);
  for (size_t i = 0; i < std::size(kGauges); ++i) s.gauges[i]->Set(kGauges[i].value(stats));
  for (size_t i = 0; i < std::size(kTotals); ++i) advance(*s.totals[i], kTotals[i].total(stats));
  return prometheus::TextSerializer().Serialize(s.registry.Collect());
}

void RequestTimer::on_event(Metrics& metrics, const engine::StreamEvent& event, int num_tokens) {
  submitted_us_ = event.submitted_us;
  if (event.first_scheduled_us != 0) first_scheduled_us_ = event.first_scheduled_us;
  last_event_us_ = event.emitted_us;
  if (num_tokens == 0) return;
  if (generated_tokens_ == 0) {
    first_token_us_ = event.emitted_us;
    metrics.first_token((event.emitted_us - submitted_us_) * kMicro,
                        (first_scheduled_us_ - submitted_us_) * kMicro,
                        (event.emitted_us - first_scheduled_us_) * kMicro);
  } else {
    const double each_s = (event.emitted_us - last_token_us_) * kMicro / num_tokens;
    for (int i = 0; i < num_tokens; ++i) metrics.inter_token(each_s);
  }
  generated_tokens_ += num_tokens;
  last_token_us_ = event.emitted_us;
}

void RequestTimer::on_finish(Metrics& metrics, bool success) {
  const auto since = [&](int64_t start_us) {
    return start_us == 0 ? 0.0 : (last_event_us_ - start_us) * kMicro;
  };
  metrics.request_finished({.success = success,
                            .generated_tokens = generated_tokens_,
                            .inference_s = since(first_scheduled_us_),
                            .decode_s = since(first_token_us_),
                            .total_s = since(submitted_us_)});
}

}  // namespace erne::server
