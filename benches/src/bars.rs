//! Bars beside each other: what a workload costs here, and what it costs elsewhere.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

/// A workload, and the figure of each side.
pub type Group = (String, Vec<f64>);

/// How much of a group's room its bars take.
const SPREAD: f64 = 0.7;

/// Draws an SVG with a group of bars for each workload, a bar for each of the `sides`.
///
/// # Errors
/// If the file cannot be written.
pub fn draw(
    file: &Path,
    unit: &str,
    sides: &[&str],
    groups: &[Group],
) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(file, (760, 400)).into_drawing_area();
    area.fill(&WHITE)?;
    let figures = || groups.iter().flat_map(|(_, figures)| figures);
    let most = figures().copied().fold(0.0, f64::max) * 1.1;
    let name = |x: &f64| {
        let index = x.round();
        let is_centre = (x - index).abs() < 0.01 && index >= 0.0;
        let group = groups.get(index as usize).filter(|_| is_centre);
        group.map_or_else(String::new, |(name, _)| name.clone())
    };
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(50)
        .build_cartesian_2d(-0.5..groups.len() as f64 - 0.5, 0.0..most)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(groups.len() + 1)
        .x_label_formatter(&name)
        .y_desc(unit)
        .draw()?;
    let width = SPREAD / sides.len() as f64;
    for (side, label) in sides.iter().enumerate() {
        let color = Palette99::pick(side).to_rgba();
        let bar = |(group, (_, figures)): (usize, &Group)| {
            let from = group as f64 - SPREAD / 2.0 + width * side as f64;
            let figure = *figures.get(side)?;
            Some(Rectangle::new([(from, 0.0), (from + width, figure)], color.filled()))
        };
        chart
            .draw_series(groups.iter().enumerate().filter_map(bar))?
            .label(*label)
            .legend(move |(x, y)| Rectangle::new([(x, y - 4), (x + 12, y + 4)], color.filled()));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    area.present()?;
    Ok(())
}
