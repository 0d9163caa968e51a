//! A line chart as SVG: enough for a learning curve.

use std::fmt::Write as _;

/// One line of a chart.
pub struct Line<'a> {
    /// What it is.
    pub name: &'a str,
    /// Its colour.
    pub colour: &'a str,
    /// Its values, 0 to 1, one for each run.
    pub values: &'a [f64],
}

/// The chart of these lines.
pub fn svg(title: &str, lines: &[Line<'_>]) -> String {
    let (left, top, wide, high) = (56.0, 48.0, 640.0, 300.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 {:.0}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{left}\" y=\"26\" font-size=\"16\">{title}</text>\n",
        top + high + 60.0 + 20.0 * lines.len() as f64
    );
    for tenth in (0..=10).step_by(2) {
        let y = top + high - high * f64::from(tenth) / 10.0;
        let _ = writeln!(
            svg,
            "<line x1=\"{left}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{} %</text>",
            left + wide,
            left - 8.0,
            y + 4.0,
            tenth * 10
        );
    }
    let runs = lines.iter().map(|line| line.values.len()).max().unwrap_or(1).max(2);
    let x = |run: usize| left + wide * run as f64 / (runs - 1) as f64;
    for run in (0..runs).filter(|run| (run + 1) % 5 == 0 || *run == 0) {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(run),
            top + high + 20.0,
            run + 1
        );
    }
    let _ = writeln!(svg, "<text x=\"{left}\" y=\"{:.1}\">runs of a family</text>", top + high + 40.0);
    for (number, line) in lines.iter().enumerate() {
        let points: Vec<String> = line
            .values
            .iter()
            .enumerate()
            .map(|(run, value)| format!("{:.1},{:.1}", x(run), top + high - high * value.clamp(0.0, 1.0)))
            .collect();
        let y = top + high + 62.0 + 20.0 * number as f64;
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{0}\" stroke-width=\"2\" points=\"{1}\"/>\n\
             <line x1=\"{left}\" y1=\"{2:.1}\" x2=\"{3:.1}\" y2=\"{2:.1}\" stroke=\"{0}\" stroke-width=\"3\"/>\
             <text x=\"{4:.1}\" y=\"{5:.1}\">{6}</text>",
            line.colour,
            points.join(" "),
            y - 4.0,
            left + 30.0,
            left + 40.0,
            y,
            line.name
        );
    }
    svg.push_str("</svg>\n");
    svg
}
