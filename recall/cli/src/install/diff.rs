//! Two texts side by side, as a person reads them.

use std::fmt::Write as _;

/// Lines shown around a change.
const AROUND: usize = 2;

/// Texts of more lines than this are compared by their ends only.
const LINES_COMPARED_MAX: usize = 3_000;

/// The change from one text to the other: lines with `+` and `-`, and a few around them.
pub(crate) fn unified(before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let steps = steps(&old, &new);
    let changed: Vec<bool> = steps.iter().map(|step| step.0 != ' ').collect();
    let mut text = String::new();
    let mut shown = true;
    for (at, (sign, line)) in steps.iter().enumerate() {
        let near = changed[at.saturating_sub(AROUND)..(at + AROUND + 1).min(changed.len())].contains(&true);
        if near {
            let _ = writeln!(text, "{sign} {line}");
        } else if shown {
            text.push_str("  …\n");
        }
        shown = near;
    }
    text
}

/// The way from the old lines to the new: kept, removed and added ones in order.
fn steps<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<(char, &'t str)> {
    let same = |pair: &(&&str, &&str)| pair.0 == pair.1;
    let head = old.iter().zip(new).take_while(same).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(same).count();
    let (left, right) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let mut steps: Vec<(char, &str)> = old[..head].iter().map(|line| (' ', *line)).collect();
    if left.len() * right.len() > LINES_COMPARED_MAX * LINES_COMPARED_MAX {
        steps.extend(left.iter().map(|line| ('-', *line)).chain(right.iter().map(|line| ('+', *line))));
    } else {
        middle(left, right, &mut steps);
    }
    steps.extend(old[old.len() - tail..].iter().map(|line| (' ', *line)));
    steps
}

fn middle<'t>(left: &[&'t str], right: &[&'t str], steps: &mut Vec<(char, &'t str)>) {
    // The longest common lines from each pair of places to the ends.
    let width = right.len() + 1;
    let mut common = vec![0u32; (left.len() + 1) * width];
    for i in (0..left.len()).rev() {
        for j in (0..right.len()).rev() {
            common[i * width + j] = if left[i] == right[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < left.len() || j < right.len() {
        if i < left.len() && j < right.len() && left[i] == right[j] {
            steps.push((' ', left[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == right.len() || (i < left.len() && common[(i + 1) * width + j] >= common[i * width + j + 1]) {
            steps.push(('-', left[i]));
            i += 1;
        } else {
            steps.push(('+', right[j]));
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_shown_with_a_few_lines_around_it() {
        let before: String = (1..=9).map(|line| format!("{line}\n")).collect();
        let after = before.replace("5\n", "five\nfünf\n") + "10\n";
        insta::assert_snapshot!(unified(&before, &after), @"
          …
          3
          4
        - 5
        + five
        + fünf
          6
          7
          8
          9
        + 10
        ");
        assert_eq!(unified("", "a\n"), "+ a\n");
        assert_eq!(unified("a\n", "a\n"), "  …\n");
    }
}
