#include "bench/case_runner.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/counter_rng.h"

namespace erne::bench {
namespace {

std::vector<sched::TokenId> random_prompt(int length, int num_tokens, uint64_t seed,
                                          uint64_t prompt) {
  const CounterRng rng(seed, prompt);
  std::vector<sched::TokenId> tokens;
  for (int i = 0; i < length; ++i)
    tokens.push_back(static_cast<sched::TokenId>(rng.uniform(i) * num_tokens));
  return tokens;
}

}  // namespace

Result<CaseSample> CaseRunner::run(const ModelCase& model_case) {
  std::vector<Stream> streams = TRY(submit(model_case));
  CaseSample sample;
  sample.prefill = TRY(step_until(streams, 1));
  sample.prefill.tokens = int64_t{model_case.num_sequences} * model_case.prompt_tokens;
  if (model_case.new_tokens > 0) sample.decode = TRY(step_until(streams, model_case.new_tokens));
  for (const Stream& stream : streams) engine_.client().cancel(stream.id);
  while (engine_.step()) {
  }
  return sample;
}

Result<std::vector<CaseRunner::Stream>> CaseRunner::submit(const ModelCase& model_case) {
  std::vector<Stream> streams;
  for (int i = 0; i < model_case.num_sequences; ++i) {
    sched::Request request;
    request.id = engine_.client().next_id();
    request.prompt = random_prompt(model_case.prompt_tokens, options_.num_tokens, options_.seed,
                                   model_case.same_prompt ? i : ++num_prompts_);
    request.sampling.temperature = static_cast<float>(options_.temperature);
    request.sampling.seed = request.id;
    request.stop.ignore_eos = true;
    request.stop.max_new_tokens = model_case.max_sequence_tokens() - model_case.prompt_tokens;
    const sched::RequestId id = request.id;
    streams.push_back({id, TRY(engine_.client().submit(std::move(request), [] {}))});
  }
  return streams;
}

Result<PhaseSample> CaseRunner::step_until(std::vector<Stream>& streams, int64_t tokens_each) {
  for (Stream& stream : streams) stream.tokens = 0;
  const auto is_done = [&](const Stream& stream) { return stream.tokens >= tokens_each; };
  const OpCounters before = counters_;
  PhaseSample sample;
  const int64_t begin_us = clock_.now_us();
  while (!std::ranges::all_of(streams, is_done)) {
    engine_.step();
    ++sample.steps;
    for (Stream& stream : streams) {
      TRY(take_events(stream));
      if (stream.has_ended && !is_done(stream))
        return Status{Code::kInternal,
                      "a sequence ended while the prompts of others were computed: raise "
                      "--max-num-batched-tokens"};
    }
  }
  sample.seconds = static_cast<double>(clock_.now_us() - begin_us) * 1e-6;
  sample.work = {counters_.bytes - before.bytes, counters_.flops - before.flops};
  for (const Stream& stream : streams) sample.tokens += stream.tokens;
  return sample;
}

Result<void> CaseRunner::take_events(Stream& stream) {
  while (const auto event = stream.events->next()) {
    stream.tokens += std::ssize(event->event.tokens);
    stream.has_ended = event->event.finish.has_value();
    if (event->event.finish == sched::FinishReason::kError) return event->event.error;
  }
  return {};
}

}  // namespace erne::bench
