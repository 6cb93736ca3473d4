// Runs tests/http/transcripts/*.txt: requests and the responses they owe, byte for byte but for ids
// and times. A file is one connection to one server:
//
//   reply: what the engine says            (settings, in any number, before the first request)
//   >>> POST /v1/completions               (method, path)
//   Authorization: Bearer x                (headers)
//                                          (an empty line)
//   {"prompt": "..."}                      (the body)
//   <<< 200                                (status)
//   {"id":"<id>", ...}                     (the body)
//
// With ERNE_WRITE_TRANSCRIPTS=1 in the environment the responses are written into the files
// instead.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "server_fixture.h"

namespace erne::server {
namespace {

const std::filesystem::path kFolder =
    std::filesystem::path(ERNE_SOURCE_DIR) / "tests/http/transcripts";

struct Exchanged {
  std::string method, path, headers, body;
  int status = 0;
  std::string response;
};

struct Transcript {
  std::string head;  // comments and settings, as they are
  ServerOptions options;
  ListenOptions listen;
  Script script;
  bool with_tokenizer = true;
  std::vector<Exchanged> exchanges;
};

// Whatever differs from run to run.
std::string masked(const std::string& body) {
  static const std::regex kId(R"re("id":"((?:chat)?cmpl-|msg_)[0-9a-f]{32}")re");
  static const std::regex kCreated(R"re("created":[0-9]+)re");
  const std::string no_id = std::regex_replace(body, kId, "\"id\":\"$1<id>\"");
  return std::regex_replace(no_id, kCreated, "\"created\":<time>");
}

void apply_setting(const std::string& name, const std::string& value, Transcript& out) {
  if (name == "reply")
    out.script.reply = TestServer::tokens(value);
  else if (name == "reply_ids") {
    std::istringstream ids(value);
    out.script.reply.clear();
    for (TokenId id; ids >> id;) out.script.reply.push_back(id);
  } else if (name == "fail_after")
    out.script.fail_after = std::stoi(value);
  else if (name == "cached")
    out.script.num_cached = std::stoi(value);
  else if (name == "overloaded")
    out.script.num_waiting_max = 0;
  else if (name == "api_key")
    out.listen.api_keys.push_back(value);
  else if (name == "served")
    out.options.served_model_names.push_back(value);
  else if (name == "max_model_len")
    out.options.max_model_len = std::stoi(value);
  else if (name == "tokenizer")
    out.with_tokenizer = value != "no";
  else
    FAIL() << "unknown setting " << name;
}

Transcript read_transcript(const std::filesystem::path& path) {
  Transcript out;
  out.script.reply = TestServer::tokens("A small reply, 42. 你好!");
  std::ifstream file(path);
  enum { kHead, kHeaders, kBody, kResponse } part = kHead;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(">>> ")) {
      std::istringstream words(line.substr(4));
      out.exchanges.emplace_back();
      words >> out.exchanges.back().method >> out.exchanges.back().path;
      part = kHeaders;
    } else if (line.starts_with("<<< ")) {
      out.exchanges.back().status = std::stoi(line.substr(4));
      part = kResponse;
    } else if (part == kHead) {
      out.head += line + "\n";
      const size_t colon = line.find(": ");
      if (!line.starts_with('#') && colon != std::string::npos)
        apply_setting(line.substr(0, colon), line.substr(colon + 2), out);
    } else if (part == kHeaders && line.empty()) {
      part = kBody;
    } else if (part == kHeaders) {
      out.exchanges.back().headers += line + "\r\n";
    } else if (part == kBody) {
      out.exchanges.back().body += line;
    } else {
      out.exchanges.back().response += line + "\n";
    }
  }
  return out;
}

// As a transcript shows it: without the empty lines at the end.
std::string shown(std::string body) {
  while (body.ends_with('\n')) body.pop_back();
  return body + "\n";
}

void write_transcript(const std::filesystem::path& path, const Transcript& transcript) {
  std::ofstream file(path);
  file << transcript.head;
  for (const Exchanged& e : transcript.exchanges) {
    std::string headers = e.headers;
    headers.erase(std::remove(headers.begin(), headers.end(), '\r'), headers.end());
    file << ">>> " << e.method << " " << e.path << "\n" << headers << "\n";
    if (!e.body.empty()) file << e.body << "\n";
    file << "<<< " << e.status << "\n" << e.response << "\n";
  }
}

class Transcripts : public ::testing::TestWithParam<std::filesystem::path> {};

TEST_P(Transcripts, AreWhatTheServerSays) {
  Transcript transcript = read_transcript(GetParam());
  ASSERT_FALSE(transcript.exchanges.empty());
  TestServer server(transcript.options, transcript.with_tokenizer, transcript.listen);
  server.engine.set_script(transcript.script);
  RawClient client = server.client();
  const bool write = std::getenv("ERNE_WRITE_TRANSCRIPTS") != nullptr;
  for (Exchanged& e : transcript.exchanges) {
    const auto response = client.ask(e.method, e.path, e.body, e.headers);
    ASSERT_TRUE(response) << e.method << " " << e.path << " " << e.body;
    const std::string body = shown(masked(response->body));
    if (!write) {
      EXPECT_EQ(response->status, e.status) << e.method << " " << e.path << " " << e.body;
      EXPECT_EQ(body, shown(e.response)) << e.method << " " << e.path << " " << e.body;
    }
    e.status = response->status;
    e.response = body;
    if (response->headers.at("connection") == "close") client = server.client();
  }
  if (write) write_transcript(GetParam(), transcript);
}

std::vector<std::filesystem::path> transcript_files() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder))
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

INSTANTIATE_TEST_SUITE_P(Http, Transcripts, ::testing::ValuesIn(transcript_files()),
                         [](const auto& info) { return info.param.stem().string(); });

}  // namespace
}  // namespace erne::server
