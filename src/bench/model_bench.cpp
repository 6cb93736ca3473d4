#include "bench/model_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "bench/machine.h"
#include "bench/serve_bench.h"
#include "engine/engine.h"

namespace erne::bench {
namespace {

double tokens_per_s(const PhaseSample& sample) {
  return static_cast<double>(sample.tokens) / sample.seconds;
}
double gb_per_s(const PhaseSample& sample) {
  return static_cast<double>(sample.work.bytes) / sample.seconds * 1e-9;
}
double gflop_per_s(const PhaseSample& sample) {
  return static_cast<double>(sample.work.flops) / sample.seconds * 1e-9;
}
double ms_per_step(const PhaseSample& sample) {
  return 1e3 * sample.seconds / static_cast<double>(sample.steps);
}

std::string phases_heading() {
  return fmt::format("{:22}{:9}{:>9}{:>19}{:>11}{:>8}{:>10}{:>9}{:>9}{:>16}\n", "case", "phase",
                     "tok/s", "min .. max", "ms/step", "GB/s", "GFLOP/s", "bound", "% limit",
                     "measured/floor");
}

std::string line(const PhaseFigures& f, const std::optional<Floor>& floor) {
  const std::string range =
      fmt::format("{:.1f} .. {:.1f}", f.tokens_per_s.front(), f.tokens_per_s.back());
  std::string text = fmt::format("{:22}{:9}{:9.1f}{:>19}{:11.2f}{:8.2f}{:10.1f}", f.name,
                                 phase_name(f.phase), tokens_per_s(f.median), range,
                                 ms_per_step(f.median), gb_per_s(f.median), gflop_per_s(f.median));
  if (floor)
    text += fmt::format("{:>9}{:9.1f}{:16.2f}", floor->bound,
                        100 * floor->seconds / f.median.seconds, f.median.seconds / floor->seconds);
  return text + "\n";
}

Json to_json(const PhaseFigures& f, const std::optional<Floor>& floor) {
  Json json = Json::Object{{"case", f.name},
                           {"phase", phase_name(f.phase)},
                           {"tokens_per_s", tokens_per_s(f.median)},
                           {"samples", Json::Array(f.tokens_per_s.begin(), f.tokens_per_s.end())},
                           {"tokens", f.median.tokens},
                           {"steps", f.median.steps},
                           {"ms_per_step", ms_per_step(f.median)},
                           {"bytes", f.median.work.bytes},
                           {"flops", f.median.work.flops},
                           {"gb_per_s", gb_per_s(f.median)},
                           {"gflop_per_s", gflop_per_s(f.median)}};
  if (floor) {
    json.set("bound", floor->bound);
    json.set("limit_tokens_per_s", static_cast<double>(f.median.tokens) / floor->seconds);
    json.set("percent_of_limit", 100 * floor->seconds / f.median.seconds);
    json.set("measured_over_floor", f.median.seconds / floor->seconds);
  }
  return json;
}

Result<std::vector<CaseSample>> run_repetitions(CaseRunner& runner, const ModelCase& model_case,
                                                int repetitions) {
  std::vector<CaseSample> samples;
  for (int i = 0; i < repetitions; ++i) samples.push_back(TRY(runner.run(model_case)));
  return samples;
}

}  // namespace

Floor floor_of(const PhaseSample& sample, const MachineLimits& limits, Arithmetic arithmetic,
               int threads) {
  const auto seconds = [](int64_t amount, double giga_per_s) {
    return giga_per_s > 0 ? static_cast<double>(amount) * 1e-9 / giga_per_s : 0;
  };
  const auto step_bytes = static_cast<size_t>(sample.work.bytes / sample.steps);
  const double memory = seconds(sample.work.bytes, limits.bandwidth_at(step_bytes, threads));
  const double compute = seconds(sample.work.flops, limits.compute_peak(arithmetic, threads));
  return memory >= compute ? Floor{memory, "memory"} : Floor{compute, "compute"};
}

PhaseFigures reduce(const ModelCase& model_case, Phase phase, std::vector<CaseSample> samples) {
  std::ranges::sort(samples, {}, [&](const CaseSample& s) { return tokens_per_s(s.of(phase)); });
  PhaseFigures figures{model_case.name, phase, {}, samples[samples.size() / 2].of(phase)};
  for (const CaseSample& sample : samples)
    figures.tokens_per_s.push_back(tokens_per_s(sample.of(phase)));
  return figures;
}

Result<Json> run_model_bench(const ModelUnderTest& model, const std::vector<ModelCase>& cases,
                             const ModelBenchOptions& options, const Clock& clock,
                             const std::function<void(const std::string&)>& print) {
  const Machine machine = this_machine();
  print(fmt::format("{} ({}), load {:.1f} before; {}, back end {}, {} threads, products in {}\n",
                    machine.cpu, machine_slug(machine), load_average(), model.name, model.backend,
                    model.threads, arithmetic_name(model.arithmetic)));
  std::optional<MachineLimits> limits;
  if (!options.skip_limits) {
    limits = measure_limits(model.threads, model.weight_bytes);
    print(to_text(*limits));
  }
  print(phases_heading());

  engine::Engine engine(model.executor, model.limits, clock);
  CaseRunner runner(engine, model.counters, clock,
                    {model.num_tokens, options.temperature, options.seed});
  TRY(runner.run(warm_up_case()));
  Json::Array figures;
  for (const ModelCase& model_case : cases) {
    const auto samples = TRY(run_repetitions(runner, model_case, options.repetitions));
    for (const Phase phase : model_case.phases) {
      const PhaseFigures f = reduce(model_case, phase, samples);
      std::optional<Floor> floor;
      if (limits) floor = floor_of(f.median, *limits, model.arithmetic, model.threads);
      print(line(f, floor));
      figures.push_back(to_json(f, floor));
    }
  }
  Json json = Json::Object{{"kind", "erne bench model"},
                           {"date", utc_now()},
                           {"command", options.command},
                           {"machine", to_json(machine)},
                           {"model", model.name},
                           {"weight_bytes", uint64_t{model.weight_bytes}},
                           {"backend", model.backend},
                           {"threads", model.threads},
                           {"arithmetic", arithmetic_name(model.arithmetic)},
                           {"limits", limits ? to_json(*limits) : Json(nullptr)},
                           {"cases", std::move(figures)}};
  if (!options.json.empty()) TRY(write_file(options.json, json.dump() + "\n", "json"));
  return json;
}

}  // namespace erne::bench
