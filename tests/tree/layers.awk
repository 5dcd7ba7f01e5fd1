# layers.awk - hold every #include to the design's table of layers.
# Input: first the list of the tree's files (paths from its top), one a line, then these files
# themselves, named as in the list. Prints file:line: what is wrong, and exits 1 if anything was.

BEGIN {
    # What a file is, by its path; the first row that matches counts.
    n = 0
    layer[++n] = "public";   where[n] = "^include/jobtab\\.h$"
    layer[++n] = "store";    where[n] = "^src/lib/store[^/]*$"
    layer[++n] = "record";   where[n] = "^src/lib/record[^/]*$"
    layer[++n] = "base";     where[n] = "^src/lib/(error|id|clock|futex|locks|shared|step|bell|turn|queue|state|json|sync|mutant|text)\\.[ch]$"
    layer[++n] = "table";    where[n] = "^src/lib/"
    layer[++n] = "common";   where[n] = "^src/common/"
    layer[++n] = "http";     where[n] = "^src/jobtabd/(worker|http)"
    layer[++n] = "jobtabd";  where[n] = "^src/jobtabd/"
    layer[++n] = "jobtab";   where[n] = "^src/jobtab/"
    layer[++n] = "validate"; where[n] = "^src/validate/"
    layers = n

    # What each may include of the tree.
    may["public"] = " "
    may["base"] = " public base "
    may["store"] = " public base store "
    may["record"] = " public base store record "
    may["table"] = " public common base store record table "
    may["common"] = " common "
    may["http"] = " public common http jobtabd "
    may["jobtabd"] = " public common http jobtabd "
    may["jobtab"] = " public common jobtab "
    may["validate"] = " public common validate "

    # Libraries that only some layers know.
    n = 0
    library[++n] = "^lmdb\\.h$";           only[n] = " store "
    library[++n] = "^tpl\\.h$";            only[n] = " tests "
    library[++n] = "^h2o(\\.h$|/)";        only[n] = " http "
    library[++n] = "^picohttpparser\\.h$"; only[n] = " http "
    libraries = n

    # All that the public header may lean on.
    split("assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp " \
          "signal stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn " \
          "string tgmath threads time uchar wchar wctype", names, " ")
    for (i in names)
        standard[names[i] ".h"] = 1
}

FILENAME == list { exists[$0] = 1; next }

FNR == 1 { own = layer_of(FILENAME) }

own != "" && /^[ \t]*#[ \t]*include[ \t]*[<"]/ {
    name = $0
    sub(/^[ \t]*#[ \t]*include[ \t]*[<"]/, "", name)
    sub(/[>"].*$/, "", name)

    for (i = 1; i <= libraries; i++)
        if (name ~ library[i] && index(only[i], " " own " ") == 0)
            fault(name " may only be included by" only[i] "and not by " own)
    target = resolve(FILENAME, name)
    if (target != "") {
        theirs = layer_of(target)
        if (theirs == "")
            fault(name " is " target ", which no program may include")
        else if (index(may[own], " " theirs " ") == 0)
            fault(name " is of layer " theirs "; " own " may include" may[own])
    } else if (own == "public" && !(name in standard)) {
        fault(name " is no C standard header; jobtab.h may include nothing else")
    }
}

END { exit faults > 0 }

function layer_of(path,    i) {
    for (i = 1; i <= layers; i++)
        if (path ~ where[i])
            return layer[i]
    return ""
}

# The tree's file that the compiler would take for `name`, or "": one of the system's.
function resolve(file, name,    folder, top, path) {
    folder = file
    sub(/[^\/]*$/, "", folder)
    if ((path = plain(folder name)) in exists)
        return path
    if (("include/" name) in exists)
        return "include/" name
    if (("src/common/" name) in exists)
        return "src/common/" name
    # Wherever an -I of that folder's makefile might find it: its own folder first, then any.
    if (match(file, /^src\/[^\/]+\//)) {
        top = substr(file, RSTART, RLENGTH)
        if ((path = plain(top name)) in exists)
            return path
    }
    sub(/^(\.\.\/)+/, "", name)
    for (path in exists)
        if (path ~ /^(src|tests)\// && length(path) > length(name) &&
            substr(path, length(path) - length(name)) == "/" name)
            return path
    return ""
}

# a/b/../c is a/c.
function plain(path) {
    while (sub(/[^\/.]+\/\.\.\//, "", path) || sub(/\/\.\//, "/", path) || sub(/^\.\//, "", path))
        ;
    return path
}

function fault(text) {
    printf "%s:%d: %s\n", FILENAME, FNR, text
    faults++
}
