# coverage.awk - lines and branches a file out of gcov's text (-b -c -t), held against what must be.
# Each line of a source comes with its count, then its branches; see coverage.sh for what is left out.

BEGIN {
    need_lines = 90
    need_branches = 80
    # of these every branch
    whole["src/lib/state.c"] = whole["src/lib/store.c"] = 1
    whole["src/lib/store_entry.c"] = whole["src/lib/store_open.c"] = whole["src/lib/store_keep.c"] = 1
    whole["src/lib/store_pages.c"] = whole["src/lib/store_layout.c"] = 1
    whole["src/lib/store_careful.c"] = 1
}

$1 == "-:" && $2 ~ /^0:Source:/ {
    file = $0
    sub(/.*:Source:/, "", file)
    ours = index(file, top "src/lib/") == 1 && file ~ /\.c$/
    file = substr(file, length(top) + 1)
    next
}
!ours { next }

/^ *[-0-9#=*]+:/ {
    n = index($0, ":")
    count = substr($0, 1, n - 1)
    rest = substr($0, n + 1)
    gsub(/[ *]/, "", count)
    number = rest + 0
    left_out = rest ~ /\/\* unreachable: [^ ]/
    if (number == 0 || count == "-")
        next
    if (left_out) {
        skipped[file]++
        next
    }
    lines[file]++
    if (count !~ /^[#=]/)
        covered[file]++
    next
}

/^branch / && !left_out {
    branches[file]++
    if ($0 ~ /taken [1-9]/)
        taken[file]++
    else
        missing[file] = missing[file] " " number
}

function percent(part, all) { return all ? 100 * part / all : 100 }

function row(name, l, c, b, t, s) {
    return sprintf("%-22s %5d lines %6.2f %%  %5d branches %6.2f %%%s", name, l, percent(c, l), b,
        percent(t, b), s ? "  " s " unreachable" : "")
}

END {
    sort = "LC_ALL=C sort"
    for (file in lines) {
        print row(file, lines[file], covered[file], branches[file], taken[file],
            skipped[file]) | sort
        all_lines += lines[file]
        all_covered += covered[file]
        all_branches += branches[file]
        all_taken += taken[file]
        all_skipped += skipped[file]
        n++
    }
    close(sort)
    print row("src/lib", all_lines, all_covered, all_branches, all_taken, all_skipped)
    if (percent(all_covered, all_lines) < need_lines) {
        print "coverage: below " need_lines " % of lines"
        bad = 1
    }
    if (percent(all_taken, all_branches) < need_branches) {
        print "coverage: below " need_branches " % of branches"
        bad = 1
    }
    for (file in whole)
        if (!(file in lines) || taken[file] < branches[file]) {
            print "coverage: " file " has branches that were not taken, in lines" missing[file]
            bad = 1
        }
    if (!n)
        bad = 1
    exit bad
}
