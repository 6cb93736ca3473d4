#include "bench/svg_plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace erne::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// "" if every element is closed in order, every attribute quoted and every & an entity; else what
// is wrong. Enough of XML for what the writer can get wrong.
std::string xml_error(std::string_view xml) {
  std::vector<std::string> open;
  for (size_t at = 0; at < xml.size();) {
    if (xml[at] == '&' && xml.substr(at, 9).find(';') == std::string_view::npos) return "bare &";
    if (xml[at] != '<') {
      ++at;
      continue;
    }
    const size_t end = xml.find('>', at);
    if (end == std::string_view::npos) return "tag without end";
    std::string_view tag = xml.substr(at + 1, end - at - 1);
    at = end + 1;
    if (tag.starts_with('/')) {
      if (open.empty() || open.back() != tag.substr(1)) return "closes " + std::string(tag);
      open.pop_back();
      continue;
    }
    if (std::count(tag.begin(), tag.end(), '"') % 2 != 0)
      return "odd quotes in " + std::string(tag);
    if (tag.find('<') != std::string_view::npos) return "bare < in " + std::string(tag);
    if (!tag.ends_with('/')) open.emplace_back(tag.substr(0, tag.find(' ')));
  }
  return open.empty() ? "" : "open: " + open.back();
}

std::vector<Panel> two_panels() {
  return {{.title = "latency",
           .x_label = "time (ms)",
           .y_label = "share (%)",
           .series = {{"a", {{0, 0}, {3.5, 50}, {7, 100}}, false}},
           .y_max = 100},
          {.title = "rate",
           .x_label = "time (s)",
           .y_label = "tok/s",
           .series = {{"out", {{0, 5}, {1, 9}}, true}, {"in", {}, true}}}};
}

TEST(RenderSvg, IsWellFormedWithLabelledAxes) {
  const std::string svg = render_svg("a & b <c> \"d\"\n", two_panels());
  EXPECT_EQ(xml_error(svg), "");
  for (const char* text : {"time (ms)", "share (%)", "tok/s", "a &amp; b &lt;c&gt;", ">100<"}) {
    EXPECT_THAT(svg, HasSubstr(text));
  }
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

TEST(RenderSvg, DrawsNothingMeasured) {
  const std::vector<Panel> empty = {{.title = "t", .x_label = "x", .y_label = "y"}};
  const std::string svg = render_svg("none", empty);
  EXPECT_EQ(xml_error(svg), "");
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(XmlError, SeesWhatIsBroken) {  // the checker above can fail
  EXPECT_NE(xml_error("<a><b></a></b>"), "");
  EXPECT_NE(xml_error("<a>x & y</a>"), "");
  EXPECT_NE(xml_error("<a b=\"1>x</a>"), "");
  EXPECT_NE(xml_error("<a>"), "");
}

TEST(CumulativeDistribution, RisesFromNoneToAll) {
  const Series cdf = cumulative_distribution("x", {4, 1, 3, 2});
  ASSERT_EQ(cdf.points.size(), 5u);
  EXPECT_EQ(cdf.points.front().x, 1);
  EXPECT_EQ(cdf.points.front().y, 0);
  EXPECT_EQ(cdf.points[2].x, 2);
  EXPECT_EQ(cdf.points[2].y, 50);
  EXPECT_EQ(cdf.points.back().x, 4);
  EXPECT_EQ(cdf.points.back().y, 100);
}

TEST(CumulativeDistribution, ThinsLargeSamplesButKeepsTheMaximum) {
  std::vector<double> samples;
  for (int i = 0; i < 12345; ++i) samples.push_back(i);
  const Series cdf = cumulative_distribution("x", samples, 100);
  EXPECT_EQ(cdf.points.size(), 100u);
  EXPECT_EQ(cdf.points.back().x, 12344);
  EXPECT_EQ(cdf.points.back().y, 100);
  EXPECT_TRUE(cumulative_distribution("x", {}).points.empty());
}

TEST(AxisTicks, AreRoundAndCoverTheData) {
  EXPECT_THAT(axis_ticks(7), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(axis_ticks(100), ElementsAre(0, 20, 40, 60, 80, 100));
  EXPECT_THAT(axis_ticks(0), ElementsAre(0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0));
  for (double max = 1e-6; max < 1e9; max *= 1.7) {
    const auto ticks = axis_ticks(max);
    EXPECT_GE(ticks.back(), max);
    EXPECT_LE(ticks.size(), 9u) << max;
    EXPECT_GE(ticks.size(), 3u) << max;
  }
}

}  // namespace
}  // namespace erne::bench
