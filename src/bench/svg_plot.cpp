#include "bench/svg_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include "base/check.h"

namespace erne::bench {
namespace {

// In pixels of the drawing.
constexpr double kWidth = 860, kPanelHeight = 300, kHeader = 50;
constexpr double kLeft = 80, kRight = 24, kTop = 34, kBottom = 56;
// Told apart with any colour vision (Okabe and Ito, 2008).
constexpr std::array<const char*, 4> kColors = {"#0072b2", "#d55e00", "#009e73", "#cc79a7"};

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;  // XML has no control characters
    }
  }
  return out;
}

// One panel's plotting area: data to pixels.
class Axes {
 public:
  Axes(const Panel& panel, double top_px) : top_px_(top_px) {
    double x_max = 0, y_max = panel.y_max;
    for (const Series& series : panel.series) {
      for (const Point& p : series.points) {
        CHECK(std::isfinite(p.x) && std::isfinite(p.y));
        x_max = std::max(x_max, p.x);
        if (panel.y_max == 0) y_max = std::max(y_max, p.y);
      }
    }
    x_ticks_ = axis_ticks(x_max);
    y_ticks_ = axis_ticks(y_max);
  }
  double left_px() const { return kLeft; }
  double right_px() const { return kWidth - kRight; }
  double top_px() const { return top_px_; }
  double bottom_px() const { return top_px_ + kPanelHeight - kTop - kBottom; }
  double x_px(double x) const { return left_px() + x / x_ticks_.back() * (right_px() - left_px()); }
  double y_px(double y) const {
    return bottom_px() - y / y_ticks_.back() * (bottom_px() - top_px());
  }
  const std::vector<double>& x_ticks() const { return x_ticks_; }
  const std::vector<double>& y_ticks() const { return y_ticks_; }

 private:
  double top_px_;
  std::vector<double> x_ticks_, y_ticks_;
};

class SvgWriter {
 public:
  void open(std::string_view title, size_t num_panels) {
    const double height = kHeader + kPanelHeight * static_cast<double>(num_panels);
    add("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
        "height=\"{1}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n"
        "<title>{2}</title>\n<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n",
        kWidth, height, escaped(title));
    text(kLeft, 30, "start", title, "font-size=\"15\" font-weight=\"bold\"");
  }
  std::string close() && {
    add("</svg>\n");
    return std::move(out_);
  }

  void text(double x, double y, const char* anchor, std::string_view content,
            std::string_view attributes = "") {
    add("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" {}>{}</text>\n", x, y, anchor,
        attributes, escaped(content));
  }
  void grid_line(double x1, double y1, double x2, double y2) {
    add("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#ddd\"/>\n", x1, y1,
        x2, y2);
  }

  void axes(const Panel& panel, const Axes& axes) {
    for (const double x : axes.x_ticks()) {
      grid_line(axes.x_px(x), axes.top_px(), axes.x_px(x), axes.bottom_px());
      text(axes.x_px(x), axes.bottom_px() + 16, "middle", fmt::format("{:g}", x));
    }
    for (const double y : axes.y_ticks()) {
      grid_line(axes.left_px(), axes.y_px(y), axes.right_px(), axes.y_px(y));
      text(axes.left_px() - 8, axes.y_px(y) + 4, "end", fmt::format("{:g}", y));
    }
    add("<path d=\"M{:.1f} {:.1f}V{:.1f}H{:.1f}\" fill=\"none\" stroke=\"#222\"/>\n",
        axes.left_px(), axes.top_px(), axes.bottom_px(), axes.right_px());
    text(axes.left_px(), axes.top_px() - 12, "start", panel.title, "font-weight=\"bold\"");
    text((axes.left_px() + axes.right_px()) / 2, axes.bottom_px() + 34, "middle", panel.x_label);
    const double middle_px = (axes.top_px() + axes.bottom_px()) / 2;
    text(24, middle_px, "middle", panel.y_label,
         fmt::format("transform=\"rotate(-90 24 {:.1f})\"", middle_px));
  }

  void curve(const Series& series, const Axes& axes, const char* color) {
    if (series.points.empty()) return;
    std::string path;
    for (size_t i = 0; i < series.points.size(); ++i) {
      const double x = axes.x_px(series.points[i].x), y = axes.y_px(series.points[i].y);
      if (i > 0 && series.steps) fmt::format_to(std::back_inserter(path), "H{:.1f}", x);
      fmt::format_to(std::back_inserter(path), "{}{:.1f} {:.1f}", i == 0 ? "M" : "L", x, y);
    }
    add("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\"/>\n", path, color);
  }

  // From the right, above the plotting area, the last series first. One curve needs none.
  void legend(const Panel& panel, const Axes& axes) {
    if (panel.series.size() < 2) return;
    double right = axes.right_px();
    for (size_t i = panel.series.size(); i-- > 0;) {
      const std::string& label = panel.series[i].label;
      text(right, axes.top_px() - 12, "end", label,
           fmt::format("fill=\"{}\" font-weight=\"bold\"", kColors[i]));
      right -= 7.5 * static_cast<double>(label.size()) + 20;
    }
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }

  std::string out_;
};

}  // namespace

std::string render_svg(std::string_view title, std::span<const Panel> panels) {
  SvgWriter svg;
  svg.open(title, panels.size());
  double top_px = kHeader + kTop;
  for (const Panel& panel : panels) {
    CHECK_LE(panel.series.size(), kColors.size());
    const Axes axes(panel, top_px);
    svg.axes(panel, axes);
    for (size_t i = 0; i < panel.series.size(); ++i) svg.curve(panel.series[i], axes, kColors[i]);
    svg.legend(panel, axes);
    top_px += kPanelHeight;
  }
  return std::move(svg).close();
}

Series cumulative_distribution(std::string label, std::vector<double> samples, int max_points) {
  Series series{.label = std::move(label)};
  if (samples.empty()) return series;
  std::sort(samples.begin(), samples.end());
  series.points.push_back({samples.front(), 0});
  const size_t num_points = std::min(samples.size(), static_cast<size_t>(max_points - 1));
  for (size_t i = 1; i <= num_points; ++i) {
    const size_t num_samples = samples.size() * i / num_points;  // the last point is the maximum
    const double share = static_cast<double>(num_samples) / static_cast<double>(samples.size());
    series.points.push_back({samples[num_samples - 1], 100 * share});
  }
  return series;
}

std::vector<double> axis_ticks(double max, int max_ticks) {
  if (max <= 0) max = 1;
  const double smallest_step = max / (max_ticks - 1);
  const double power = std::pow(10.0, std::floor(std::log10(smallest_step)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * power >= smallest_step) step = factor * power;
  }
  std::vector<double> ticks = {0};
  while (ticks.back() < max) ticks.push_back(step * static_cast<double>(ticks.size()));
  return ticks;
}

}  // namespace erne::bench
