#include "bench/serve_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/text_file.h"
#include "bench/http_client.h"
#include "bench/limits.h"
#include "bench/load_generator.h"
#include "bench/machine.h"
#include "bench/prompts.h"
#include "bench/serve_report.h"

namespace erne::bench {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxPrompts = 10'000'000;
constexpr size_t kMaxConfigBytes = 16 << 20;
constexpr int64_t kMaxTokens = 1 << 24;
constexpr int64_t kMaxVocabSize = 1 << 24;

Result<void> check_range(const char* flag, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return {};
  return invalid(fmt::format("--{} is {}; it must be {} to {}", flag, value, low, high), flag);
}

std::string string_at(const Json& object, std::string_view key) {
  const Json* value = object.find(key);
  return value && value->is_string() ? value->as_string() : "";
}

// What GET /v1/models says of the model to load.
struct ServedModel {
  std::string name;
  std::string folder;  // of its checkpoint on the server; may be empty
};

Result<ServedModel> find_model(const BaseUrl& base, const ServeBenchOptions& options) {
  const std::string url = base.text + "/v1/models";
  const Json reply = TRY(Json::parse(TRY(http_get(url, options.api_key))));
  const Json* data = reply.find("data");
  if (!data || !data->is_array() || data->as_array().empty()) {
    return invalid(fmt::format("GET {}: no model in the reply", url), "base_url");
  }
  for (const Json& entry : data->as_array()) {
    const std::string name = string_at(entry, "id");
    if (name.empty() || (!options.served_model_name.empty() && name != options.served_model_name)) {
      continue;
    }
    return ServedModel{name, string_at(entry, "root")};
  }
  return invalid(fmt::format("--served-model-name is \"{}\"; the server has no such model",
                             options.served_model_name),
                 "served_model_name");
}

int64_t vocab_size_in(const std::string& json_text) {
  const auto json = Json::parse(json_text);
  const Json* size = json.ok() ? json->find("vocab_size") : nullptr;
  return size && size->is_integer() ? size->as_int() : 0;
}

// From the flag, else from the server's /tokenizer_info, else from a checkpoint at hand.
Result<int64_t> find_vocab_size(const BaseUrl& base, const ServeBenchOptions& options,
                                const std::string& model_folder) {
  int64_t size = options.vocab_size;
  if (size == 0) {
    if (const auto info = http_get(base.text + "/tokenizer_info", options.api_key); info.ok()) {
      size = vocab_size_in(*info);
    }
  }
  if (size == 0 && !model_folder.empty()) {
    const auto config =
        read_text_file(fs::path(model_folder) / "config.json", kMaxConfigBytes, "--model");
    if (config.ok()) size = vocab_size_in(*config);
  }
  if (size < 100 || size > kMaxVocabSize) {
    return invalid("the server does not tell its vocabulary; random prompts need --vocab-size",
                   "vocab_size");
  }
  return size;
}

Result<std::vector<Prompt>> make_prompts(const BaseUrl& base, const ServeBenchOptions& options,
                                         const std::string& model_folder) {
  const Endpoint endpoint = TRY(parse_endpoint(options.endpoint));
  const int num_prompts = static_cast<int>(options.num_prompts);
  if (options.dataset != "random") {
    return read_prompts(options.dataset, endpoint, num_prompts, options.output_len);
  }
  int64_t vocab_size = 0;
  if (endpoint == Endpoint::kCompletions) {
    vocab_size = TRY(find_vocab_size(base, options, model_folder));
  }
  return random_prompts({.endpoint = endpoint,
                         .num_prompts = num_prompts,
                         .input_tokens = options.input_len,
                         .output_tokens = options.output_len,
                         .vocab_size = vocab_size,
                         .seed = static_cast<uint64_t>(options.seed)});
}

std::string request_body(const ServeBenchOptions& options, const std::string& model, Prompt prompt,
                         size_t index) {
  Json body = Json::Object{
      {"model", model},
      {options.endpoint == "/v1/completions" ? "prompt" : "messages", std::move(prompt.content)},
      {"max_tokens", prompt.output_tokens},
      {"temperature", options.temperature},
      {"seed", options.seed + static_cast<int64_t>(index)},
      {"stream", true},
      {"stream_options", Json::Object{{"include_usage", true}, {"continuous_usage_stats", true}}}};
  if (options.ignore_eos) body.set("ignore_eos", true);
  if (!options.response_format.empty())
    body.set("response_format", Json::written(options.response_format));
  return body.dump();
}

LoadPlan make_plan(const BaseUrl& base, const ServeBenchOptions& options, const std::string& model,
                   std::vector<Prompt> prompts) {
  const int num_prompts = static_cast<int>(prompts.size());
  LoadPlan plan{.url = base.text + options.endpoint,
                .api_key = options.api_key,
                .bodies = {},
                .arrivals_us = poisson_arrivals(num_prompts, options.request_rate,
                                                static_cast<uint64_t>(options.seed)),
                .max_concurrency = num_prompts,
                .request_timeout_us = options.timeout_s * 1'000'000};
  if (options.max_concurrency > 0) {
    plan.max_concurrency = static_cast<int>(std::min(options.max_concurrency, options.num_prompts));
  }
  for (size_t i = 0; i < prompts.size(); ++i) {
    plan.bodies.push_back(request_body(options, model, std::move(prompts[i]), i));
  }
  return plan;
}

// Before the load, while the server is idle. nullopt: the server is elsewhere or its weights
// unknown.
Result<std::optional<DecodeFloor>> measure_floor(const BaseUrl& base,
                                                 const ServeBenchOptions& options,
                                                 const std::string& model_folder) {
  if (!base.is_local) return std::optional<DecodeFloor>();
  int64_t weight_bytes = options.weight_bytes;
  if (weight_bytes == 0 && !options.model_dir.empty()) {
    weight_bytes = TRY(safetensors_bytes(options.model_dir));
  } else if (weight_bytes == 0) {
    const auto found = safetensors_bytes(model_folder);
    if (!found.ok()) return std::optional<DecodeFloor>();
    weight_bytes = *found;
  }
  const int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const size_t working_set = std::min(static_cast<size_t>(weight_bytes), uncached_bytes());
  const ReadBandwidth bandwidth = measure_read_bandwidth(working_set, threads);
  return std::optional(DecodeFloor{weight_bytes, bandwidth.gb_per_s});
}

Json load_json(const ServeBenchOptions& options, int max_concurrency) {
  const bool all_at_once = std::isinf(options.request_rate);
  return Json::Object{
      {"endpoint", options.endpoint},
      {"num_prompts", options.num_prompts},
      {"max_concurrency", max_concurrency},
      {"request_rate", all_at_once ? Json("inf") : Json(options.request_rate)},
      {"dataset", options.dataset},
      {"input_len", options.dataset == "random" ? Json(options.input_len) : Json(nullptr)},
      {"output_len", options.output_len},
      {"seed", options.seed},
      {"ignore_eos", options.ignore_eos},
      {"response_format", options.response_format},
      {"temperature", options.temperature}};
}

}  // namespace

Result<void> check(const ServeBenchOptions& options) {
  const BaseUrl base = TRY(parse_base_url(options.base_url));
  TRY(parse_endpoint(options.endpoint));
  if (const auto format = Json::parse(options.response_format);
      !options.response_format.empty() && !format.ok())
    return invalid("--response-format is no JSON: " + format.status().message, "--response-format");
  TRY(check_range("num-prompts", options.num_prompts, 1, kMaxPrompts));
  TRY(check_range("max-concurrency", options.max_concurrency, 0, kMaxPrompts));
  TRY(check_range("input-len", options.input_len, 1, kMaxTokens));
  TRY(check_range("output-len", options.output_len, 1, kMaxTokens));
  TRY(check_range("seed", options.seed, 0, int64_t{1} << 53));
  TRY(check_range("timeout", options.timeout_s, 1, 7 * 86'400));
  TRY(check_range("weight-bytes", options.weight_bytes, 0, int64_t{1} << 50));
  if (options.vocab_size != 0)
    TRY(check_range("vocab-size", options.vocab_size, 100, kMaxVocabSize));
  if (!(options.request_rate > 0)) {
    return invalid(fmt::format("--request-rate is {}; it must be more than 0 (inf: all at once)",
                               options.request_rate),
                   "request_rate");
  }
  if (!(options.temperature >= 0) || std::isinf(options.temperature)) {
    return invalid(fmt::format("--temperature is {}; it must be 0 or more", options.temperature),
                   "temperature");
  }
  const bool wants_floor = options.weight_bytes != 0 || !options.model_dir.empty();
  if (wants_floor && !base.is_local) {
    return invalid(
        "--weight-bytes and --model give a floor by this machine's memory; the server of "
        "--base-url is not on this machine",
        "weight_bytes");
  }
  if (options.weight_bytes != 0 && !options.model_dir.empty()) {
    return invalid("--weight-bytes and --model both say how large the weights are: give one",
                   "weight_bytes");
  }
  return {};
}

Result<int64_t> safetensors_bytes(const std::string& folder) {
  int64_t bytes = 0;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() != ".safetensors") continue;
    const uintmax_t size = it->file_size(error);
    if (!error) bytes += static_cast<int64_t>(size);
  }
  if (error) return invalid(fmt::format("--model: {}: {}", folder, error.message()), "model");
  if (bytes == 0) return invalid(fmt::format("--model: {} has no *.safetensors", folder), "model");
  return bytes;
}

Result<void> write_file(const std::string& path, std::string_view text, const std::string& flag) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  if (!file) return invalid(fmt::format("--{}: cannot write \"{}\"", flag, path), flag);
  return {};
}

Result<ServeBenchResult> run_serve_bench(const ServeBenchOptions& options, const Clock& clock) {
  TRY(check(options));
  const double load = load_average();
  const BaseUrl base = TRY(parse_base_url(options.base_url));
  const ServedModel model = TRY(find_model(base, options));
  std::string model_folder = options.model_dir;
  if (model_folder.empty() && base.is_local) model_folder = model.folder;
  std::vector<Prompt> prompts = TRY(make_prompts(base, options, model_folder));
  const auto floor = TRY(measure_floor(base, options, model_folder));

  const std::string date = utc_now();
  const LoadPlan plan = make_plan(base, options, model.name, std::move(prompts));
  const std::vector<RequestOutcome> outcomes = TRY(generate_load(plan, clock));
  const ServeReport report = make_report(outcomes, floor);

  ServeBenchResult result;
  result.any_completed = report.completed > 0;
  const std::string title = fmt::format("{}, {} prompts, {} at once, {}", model.name,
                                        options.num_prompts, plan.max_concurrency, date);
  result.text = title + "\n" + to_text(report);
  result.json = Json::Object{
      {"kind", "erne bench serve"},
      {"date", date},
      {"command", options.command},
      {"machine", to_json(this_machine())},
      {"load_average_before", load},
      {"server",
       Json::Object{{"base_url", base.text}, {"model", model.name}, {"root", model.folder}}},
      {"load", load_json(options, plan.max_concurrency)},
      {"result", to_json(report)}};
  if (!options.save_result.empty()) {
    TRY(write_file(options.save_result, result.json.dump() + "\n", "save-result"));
  }
  if (!options.plot.empty()) TRY(write_file(options.plot, to_svg(title, outcomes), "plot"));
  return result;
}

}  // namespace erne::bench
