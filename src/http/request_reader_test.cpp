#include "http/request_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace erne::http {
namespace {

using ::testing::ElementsAre;
using Step = RequestReader::Step;

// What the bytes come to, given in pieces of `piece` bytes.
std::vector<std::string> read_all(std::string_view bytes, size_t piece) {
  RequestReader reader(4096, 1000);
  std::vector<std::string> out;
  while (true) {
    switch (reader.next()) {
      case Step::kNeedsMore:
        if (bytes.empty()) {
          if (!reader.is_idle()) out.emplace_back("(incomplete)");
          return out;
        }
        reader.add(bytes.substr(0, piece));
        bytes.remove_prefix(std::min(piece, bytes.size()));
        break;
      case Step::kHead:
        reader.begin_body(/*keep=*/true);
        break;
      case Step::kRequest:
        out.push_back(reader.head().method + " " + reader.head().path + " " + reader.take_body());
        reader.restart();
        break;
      case Step::kRefused:
        out.push_back(std::to_string(reader.refusal().status));
        return out;
    }
  }
}

TEST(RequestReader, ReadsTheSameWhereverBytesAreCut) {
  const std::string bytes =
      "\r\nPOST /a?b HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello"
      "\r\n\r\nGET http://t/c HTTP/1.1\r\nHOST:\tt \r\n\r\n"
      "POST /d HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: Chunked\r\n\r\n"
      "3;x=\"y\"\r\nabc\r\n0A\r\n0123456789\r\n000\r\nTrailer: z\r\n\r\n"
      "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n";
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, bytes.size()})
    EXPECT_THAT(read_all(bytes, piece),
                ElementsAre("POST /a hello", "GET /c ", "POST /d abc0123456789", "OPTIONS * "))
        << piece;
}

TEST(RequestReader, RefusesTheSameWhereverBytesAreCut) {
  const std::string head = "POST / HTTP/1.1\r\nHost: t\r\n";
  const std::pair<std::string, std::string> kCases[] = {
      {"\x16\x03\x01", "400"},
      {std::string(3, '\0'), "400"},
      {"GET / HTTP/1.1\n", "400"},
      {"GET / HTTP/1.1\rX", "400"},
      {"GET / HTTP/1.1\r\nX: " + std::string(5000, 'y'), "431"},
      {head + "Content-Length: 1001\r\n\r\n", "413"},
      {head + "Content-Length: 99999999999999999999999\r\n\r\n", "413"},
      {head + "Transfer-Encoding: chunked\r\n\r\n3E9\r\n", "413"},
      {head + "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n", "413"},
      {head + "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n", "400"},
      {head + "Expect: 200-ok\r\n\r\n", "417"},
      {head + "Content-Encoding: gzip, gzip\r\n\r\n", "415"},
  };
  for (const auto& [bytes, status] : kCases)
    for (const size_t piece : {size_t{1}, size_t{5}, bytes.size()})
      EXPECT_THAT(read_all(bytes, piece), ElementsAre(status)) << bytes.substr(0, 80);
}

TEST(RequestReader, DropsABodyNobodyWants) {
  RequestReader reader(4096, 1 << 20);
  reader.add("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 500000\r\n\r\n");
  ASSERT_EQ(reader.next(), Step::kHead);
  reader.begin_body(/*keep=*/false);
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(reader.next(), Step::kNeedsMore);
    reader.add(std::string(100'000, 'x'));
  }
  ASSERT_EQ(reader.next(), Step::kRequest);
  EXPECT_LT(reader.held_bytes(), 300'000u);
  EXPECT_EQ(reader.take_body(), "");
}

TEST(RequestHead, KnowsWhenAConnectionEnds) {
  const auto keeps = [](const std::string& version, const std::string& fields) {
    RequestHead head;
    EXPECT_FALSE(
        parse_request_head("GET / HTTP/" + version + "\r\nHost: t\r\n" + fields + "\r\n", head));
    return head.keep_alive;
  };
  EXPECT_TRUE(keeps("1.1", ""));
  EXPECT_FALSE(keeps("1.1", "Connection: close\r\n"));
  EXPECT_FALSE(keeps("1.1", "Connection: TE, Close\r\n"));
  EXPECT_FALSE(keeps("1.0", ""));
  EXPECT_TRUE(keeps("1.0", "Connection: Keep-Alive\r\n"));
  EXPECT_FALSE(keeps("1.0", "Connection: keep-alive\r\nConnection: close\r\n"));
}

}  // namespace
}  // namespace erne::http
