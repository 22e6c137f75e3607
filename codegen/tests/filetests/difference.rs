//! Two texts beside one another, line by line.

/// Lines around a change that are shown too.
const AROUND: usize = 3;

/// Lines of `old` that are gone with `-`, those that `new` has instead with `+`.
pub fn of(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    // The longest common part of what follows each pair of lines.
    let mut common = vec![vec![0usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = match old[i] == new[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let mut lines: Vec<(char, &str)> = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push((' ', old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(('-', old[i]));
            i += 1;
        } else {
            lines.push(('+', new[j]));
            j += 1;
        }
    }
    let mut shown = String::new();
    let mut skipped = false;
    for (at, (mark, line)) in lines.iter().enumerate() {
        let near = &lines[at.saturating_sub(AROUND)..(at + AROUND + 1).min(lines.len())];
        if near.iter().all(|line| line.0 == ' ') {
            skipped = true;
            continue;
        }
        if std::mem::take(&mut skipped) {
            shown += "  ...\n";
        }
        shown += &format!("{mark} {line}\n");
    }
    shown
}

#[test]
fn changed_lines_are_marked_with_what_is_around_them() {
    let old = "0\n1\n2\n3\n4\n5\n6\n7\n8\n9";
    let new = "0\n1\n2\n3\n4\nx\n6\n7\n8\n9\n10";
    let expected = "  ...\n  2\n  3\n  4\n- 5\n+ x\n  6\n  7\n  8\n  9\n+ 10\n";
    assert_eq!(of(old, new), expected);
}
