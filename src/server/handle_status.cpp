// GET /v1/models and /metrics: what the server serves and how it fares.
#include <fmt/format.h>

#include "server/errors.h"
#include "server/routes.h"

namespace erne::server {
namespace {

Json model_json(const ServerContext& context, const std::string& name) {
  return Json()
      .set("id", name)
      .set("object", "model")
      .set("created", context.started_s)
      .set("owned_by", "erne")
      .set("root", context.options.model_name)
      .set("parent", Json())
      .set("max_model_len", context.options.max_model_len);
}

std::vector<std::string> model_names(const ServerContext& context) {
  if (context.options.served_model_names.empty()) return {context.options.model_name};
  return context.options.served_model_names;
}

// %2F and the like; a broken escape stays as it is.
std::string percent_decoded(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape =
        text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0;
    if (!escape) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
    i += 2;
  }
  return out;
}

}  // namespace

void handle_models(std::shared_ptr<ServerContext> context, std::shared_ptr<http::Exchange> exchange,
                   RequestWork) {
  Json::Array models;
  for (const std::string& name : model_names(*context))
    models.push_back(model_json(*context, name));
  exchange->respond({.body = Json().set("object", "list").set("data", std::move(models)).dump()});
}

void handle_model(std::shared_ptr<ServerContext> context, std::shared_ptr<http::Exchange> exchange,
                  RequestWork) {
  constexpr std::string_view kPrefix = "/v1/models/";
  const std::string name = percent_decoded(exchange->request().path.substr(kPrefix.size()));
  for (const std::string& known : model_names(*context))
    if (name == known) return exchange->respond({.body = model_json(*context, known).dump()});
  exchange->respond(error_response(
      Status{Code::kNotFound,
             fmt::format("the model \"{}\" does not exist here", name.substr(0, 80)), "model"}));
}

void handle_metrics(std::shared_ptr<ServerContext> context,
                    std::shared_ptr<http::Exchange> exchange, RequestWork) {
  exchange->respond({.content_type = "text/plain; version=0.0.4; charset=utf-8",
                     .body = context->metrics.render(context->engine.stats(), context->memory)});
}

}  // namespace erne::server
