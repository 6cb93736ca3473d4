// Plots as one SVG file: panels one below the other, each with labelled axes, ticks at round
// numbers, a grid and a legend. No scripts, no fonts of its own: it opens in any browser.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace erne::bench {

struct Point {
  double x, y;
};

struct Series {
  std::string label;
  std::vector<Point> points = {};  // ascending in x, finite
  bool steps = false;              // hold y until the next x, as a histogram over time does
};

struct Panel {
  std::string title;
  std::string x_label, y_label;     // with the unit
  std::vector<Series> series = {};  // at most 4, told apart by colour and legend
  double y_max = 0;                 // 0: from the data. Both axes begin at 0.
};

std::string render_svg(std::string_view title, std::span<const Panel> panels);

// The share of samples at most x, in percent, as a curve of at most `max_points` points.
Series cumulative_distribution(std::string label, std::vector<double> samples,
                               int max_points = 400);

// Round tick positions 0, s, 2s, ... with s of 1, 2 or 5 times a power of ten: at most `max_ticks`,
// the last one at or above `max`.
std::vector<double> axis_ticks(double max, int max_ticks = 8);

}  // namespace erne::bench
