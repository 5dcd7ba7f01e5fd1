# validate.awk - the checks of jobtab-validate, as one would write them in awk for such prices:
#
#   awk -f validate.awk exchange.csv vendor.csv broker.csv
#
# Sources have a header and rows of symbol, timestamp, price, ordered by symbol and time. They are
# read side by side, symbol by symbol, so that what is held are the rows of one symbol; that is
# faster than to hold all. Times are all of one form, so that they compare as text. Rows that are
# out of order in time are found, but only one place out of it. Prints how often each rule was
# broken.

BEGIN {
    FS = ","
    max_bps = 100; max_mad = 12
    for (s = 1; s < ARGC; s++) {
        file[s] = ARGV[s]
        if ((getline line < file[s]) <= 0) {
            print file[s] ": cannot be read" > "/dev/stderr"
            exit 1
        }
        next_row(s)
    }
    sources = ARGC - 1
    while ((symbol = lowest()) != "") {
        clear()
        for (s = 1; s <= sources; s++) {
            last = ""; before = 0
            for (; head[s] == symbol; next_row(s))
                take(s)
        }
        judge_groups()
        judge_steps()
    }
    printf "{\"rows\": %d", rows
    for (rule in broken)
        printf ", \"%s\": %d", rule, broken[rule]
    print "}"
    exit 0
}

# head[s], time[s], price[s] of the next row that has a symbol and a time; head is "" at the end.
function next_row(s,   line, field, timely) {
    for (;;) {
        if ((getline line < file[s]) <= 0) {
            head[s] = ""
            return
        }
        rows++
        split(line, field, ",")
        if (field[1] == "" || length(field[1]) > 64)
            broken["symbol_missing"]++
        timely = is_time(field[2])
        if (!timely)
            broken["time_unparsable"]++
        price[s] = 0
        if (field[3] !~ /^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$/)
            broken["price_unparsable"]++
        else if (field[3] + 0 <= 0)
            broken["price_not_positive"]++
        else
            price[s] = field[3] + 0
        if (field[1] != "" && timely) {
            head[s] = field[1]
            time[s] = field[2]
            return
        }
    }
}

# The day is looked up: there are few of them.
function is_time(text,   day) {
    day = substr(text, 1, 10)
    if (!(day in days))
        days[day] = day ~ /^[0-9][0-9][0-9][0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$/
    return days[day] && substr(text, 11) ~ /^T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$/
}

function lowest(   s, name) {
    name = ""
    for (s = 1; s <= sources; s++)
        if (head[s] != "" && (name == "" || head[s] < name))
            name = head[s]
    return name
}

function clear() {
    split("", at); split("", seen); split("", steps)
    n_times = n_steps = 0
}

# Rows of a source in the order of time; one that is a place too late is put where it belongs.
function take(s,   t, p) {
    t = time[s]; p = price[s]
    if (t == last) {
        broken["duplicate"]++
        return
    }
    if (last != "" && t < last) {
        broken["time_backwards"]++
        if (p > 0 && before > 0 && before2 > 0) { # the step that was taken, undone
            steps[n_steps - 1] = (p - before2) / before2
            steps[n_steps++] = (before - p) / p
            late = 1
        }
    } else {
        if (p > 0 && before > 0)
            steps[n_steps++] = (p - before) / before
        late = 0
    }
    if (p > 0) {
        if (!(t in at))
            times[n_times++] = t
        at[t] = at[t] " " p
        if (!late) {
            before2 = before
            before = p
        }
    }
    if (!late)
        last = t
}

function judge_groups(   i, n, k, j, v, m, p) {
    for (i = 0; i < n_times; i++) {
        n = split(at[times[i]], p, " ")
        if (n < 2)
            continue
        for (k = 1; k <= n; k++)
            p[k] += 0
        for (k = 2; k <= n; k++) {
            v = p[k]
            for (j = k - 1; j > 0 && p[j] > v; j--)
                p[j + 1] = p[j]
            p[j + 1] = v
        }
        m = n % 2 ? p[(n + 1) / 2] : (p[n / 2] + p[n / 2 + 1]) / 2
        for (k = 1; k <= n; k++)
            if ((p[k] > m ? p[k] - m : m - p[k]) * 10000 > max_bps * m)
                broken["deviation"]++
    }
}

function judge_steps(   i, m, mad) {
    if (n_steps < 5)
        return
    for (i = 0; i < n_steps; i++)
        copy[i] = steps[i]
    m = median(n_steps)
    for (i = 0; i < n_steps; i++)
        copy[i] = off[i] = steps[i] > m ? steps[i] - m : m - steps[i]
    mad = median(n_steps)
    if (mad == 0)
        mad = 0.001
    for (i = 0; i < n_steps; i++)
        if (off[i] > max_mad * mad)
            broken["jump"]++
}

# Of copy[0] to copy[n - 1], which it puts into another order.
function median(n,   k, i, low) {
    k = int(n / 2)
    pick(n, k)
    if (n % 2)
        return copy[k]
    low = copy[0]
    for (i = 1; i < k; i++)
        if (copy[i] > low)
            low = copy[i]
    return (low + copy[k]) / 2
}

function pick(n, k,   low, high, i, j, pivot, v) {
    low = 0; high = n - 1
    while (low < high) {
        pivot = copy[int((low + high) / 2)]
        i = low; j = high
        while (i <= j) {
            while (copy[i] < pivot) i++
            while (copy[j] > pivot) j--
            if (i <= j) {
                v = copy[i]; copy[i++] = copy[j]; copy[j--] = v
            }
        }
        if (k <= j) high = j
        else if (k >= i) low = i
        else return
    }
}
