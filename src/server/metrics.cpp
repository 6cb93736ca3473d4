#include "server/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <mutex>

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

Gauge& gauge(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
}
Counter& counter(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({});
}
Histogram& histogram(Registry& registry, const char* name, const char* help,
                     const Buckets& buckets) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add({}, buckets);
}

// Brings a counter to a total that the engine keeps.
void advance(Counter& counter, int64_t total) {
  const double increase = static_cast<double>(total) - counter.Value();
  if (increase > 0) counter.Increment(increase);
}

double ratio(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

struct Metrics::State {
  Registry registry;
  std::mutex render_mutex;

  Gauge& running = gauge(registry, "fastdeploy:num_requests_running", "Requests being computed");
  Gauge& waiting = gauge(registry, "fastdeploy:num_requests_waiting", "Requests waiting");
  Gauge& batch_size = gauge(registry, "fastdeploy:batch_size", "Requests being computed");
  Gauge& max_batch_size =
      gauge(registry, "fastdeploy:max_batch_size", "Most requests computed at once");
  Gauge& available_batch_size =
      gauge(registry, "fastdeploy:available_batch_size", "Room for more requests at once");
  Gauge& cache_usage =
      gauge(registry, "fastdeploy:gpu_cache_usage_perc", "Share of KV blocks in use, 0 to 1");
  Gauge& max_blocks = gauge(registry, "fastdeploy:max_gpu_block_num", "KV blocks");
  Gauge& free_blocks =
      gauge(registry, "fastdeploy:free_gpu_block_num", "KV blocks that hold nothing");
  Gauge& available_blocks = gauge(registry, "fastdeploy:available_gpu_block_num",
                                  "KV blocks free or holding a prefix nobody uses now");
  Gauge& available_share =
      gauge(registry, "fastdeploy:available_gpu_resource", "Share of KV blocks available, 0 to 1");
  Gauge& hit_token_rate = gauge(registry, "fastdeploy:hit_token_rate",
                                "Share of prompt tokens that came from the prefix cache, 0 to 1");
  Gauge& token_budget = gauge(registry, "erne:step_token_budget",
                              "Most tokens the last step might compute, so that prompts do not "
                              "hold up answers");
  Counter& generated = counter(registry, "fastdeploy:generation_tokens_total", "Tokens generated");
  Counter& prompt = counter(registry, "fastdeploy:prompt_tokens_total", "Prompt tokens admitted");
  Counter& cached = counter(registry, "fastdeploy:prefix_cache_token_num_total",
                            "Prompt tokens that came from the prefix cache");
  Counter& cached_device = counter(registry, "fastdeploy:prefix_gpu_cache_token_num_total",
                                   "Prompt tokens that came from the device's prefix cache");
  Counter& preemptions =
      counter(registry, "fastdeploy:preemptions_total", "Requests put back for want of KV blocks");
  Counter& requests =
      counter(registry, "fastdeploy:requests_number_total", "Requests given to the engine");
  Counter& successes =
      counter(registry, "fastdeploy:request_success_total", "Requests that ended with a result");

  Histogram& first_token = histogram(registry, "fastdeploy:time_to_first_token_seconds",
                                     "From submission to the first token", kFirstTokenBuckets);
  Histogram& per_token = histogram(registry, "fastdeploy:time_per_output_token_seconds",
                                   "Between one token and the next", kPerTokenBuckets);
  Histogram& queued = histogram(registry, "fastdeploy:request_queue_time_seconds",
                                "From submission to the first step", kRequestBuckets);
  Histogram& prefill = histogram(registry, "fastdeploy:request_prefill_time_seconds",
                                 "From the first step to the first token", kRequestBuckets);
  Histogram& decode = histogram(registry, "fastdeploy:request_decode_time_seconds",
                                "From the first token to the last", kRequestBuckets);
  Histogram& inference = histogram(registry, "fastdeploy:request_inference_time_seconds",
                                   "From the first step to the end", kRequestBuckets);
  Histogram& total = histogram(registry, "fastdeploy:e2e_request_latency_seconds",
                               "From submission to the end", kRequestBuckets);
  Histogram& generated_tokens = histogram(registry, "fastdeploy:request_generation_tokens",
                                          "Tokens generated per request", kTokenCountBuckets);
  Histogram& prompt_tokens = histogram(registry, "fastdeploy:request_prompt_tokens",
                                       "Prompt tokens per request", kTokenCountBuckets);
  Histogram& max_tokens = histogram(registry, "fastdeploy:request_params_max_tokens",
                                    "Most tokens a request may generate", kTokenCountBuckets);

  prometheus::Family<Counter>& http_requests = prometheus::BuildCounter()
                                                   .Name("http_requests_total")
                                                   .Help("HTTP requests answered")
                                                   .Register(registry);
  prometheus::Family<Histogram>& http_seconds =
      prometheus::BuildHistogram()
          .Name("http_request_duration_seconds")
          .Help("From the header to the end of the answer")
          .Register(registry);
};

Metrics::Metrics() : state_(std::make_unique<State>()) {}
Metrics::~Metrics() = default;

void Metrics::http_answered(std::string_view method, std::string_view route, int status,
                            double seconds) {
  const std::map<std::string, std::string> labels = {{"method", std::string(method)},
                                                     {"path", std::string(route)}};
  state_->http_seconds.Add(labels, kHttpBuckets).Observe(seconds);
  auto with_status = labels;
  with_status.emplace("status_code", std::to_string(status));
  state_->http_requests.Add(with_status).Increment();
}

void Metrics::request_submitted(int prompt_tokens, int max_tokens) {
  state_->requests.Increment();
  state_->prompt_tokens.Observe(prompt_tokens);
  state_->max_tokens.Observe(max_tokens);
}

void Metrics::inter_token(double seconds) {
  state_->per_token.Observe(seconds);
}

void Metrics::first_token(double since_submitted_s, double queued_s, double prefill_s) {
  state_->first_token.Observe(since_submitted_s);
  state_->queued.Observe(queued_s);
  state_->prefill.Observe(prefill_s);
}

void Metrics::request_finished(const Finished& finished) {
  if (finished.success) state_->successes.Increment();
  state_->generated_tokens.Observe(finished.generated_tokens);
  state_->inference.Observe(finished.inference_s);
  state_->decode.Observe(finished.decode_s);
  state_->total.Observe(finished.total_s);
}

std::string Metrics::render(const engine::EngineStats& stats) {
  State& s = *state_;
  std::lock_guard lock(s.render_mutex);
  const int available = stats.free_blocks + stats.cached_blocks;
  s.running.Set(stats.running);
  s.waiting.Set(stats.waiting);
  s.batch_size.Set(stats.running);
  s.max_batch_size.Set(stats.max_running);
  s.available_batch_size.Set(stats.max_running - stats.running);
  s.cache_usage.Set(ratio(stats.total_blocks - available, stats.total_blocks));
  s.max_blocks.Set(stats.total_blocks);
  s.free_blocks.Set(stats.free_blocks);
  s.available_blocks.Set(available);
  s.available_share.Set(ratio(available, stats.total_blocks));
  s.hit_token_rate.Set(ratio(stats.cached_prompt_tokens, stats.prompt_tokens));
  s.token_budget.Set(stats.token_budget);
  advance(s.generated, stats.generated_tokens);
  advance(s.prompt, stats.prompt_tokens);
  advance(s.cached, stats.cached_prompt_tokens);
  advance(s.cached_device, stats.cached_prompt_tokens);
  advance(s.preemptions, stats.preemptions);
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
