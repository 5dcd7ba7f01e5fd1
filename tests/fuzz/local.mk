# tests/fuzz/local.mk - included by Makefile.am
# The targets are compiled by clang, whatever CC is; without it only the HTTP one runs.
# `make fuzz FUZZ_TARGETS="record body"` runs some.
EXTRA_DIST += tests/fuzz/fuzz.sh tests/fuzz/body.dict tests/fuzz/cursor.dict tests/fuzz/fuzz.h tests/fuzz/corpus \
	tests/fuzz/fuzz_body.c \
	tests/fuzz/fuzz_conf.c \
	tests/fuzz/fuzz_control.c tests/fuzz/fuzz_control_leak.c \
	tests/fuzz/fuzz_csv.c tests/fuzz/fuzz_cursor.c \
	tests/fuzz/fuzz_head.c \
	tests/fuzz/fuzz_http.py \
	tests/fuzz/fuzz_id.c \
	tests/fuzz/fuzz_import.c \
	tests/fuzz/fuzz_json.c \
	tests/fuzz/fuzz_output.c \
	tests/fuzz/fuzz_parcel.c \
	tests/fuzz/fuzz_params.c \
	tests/fuzz/fuzz_record.c \
	tests/fuzz/fuzz_report_line.c \
	tests/fuzz/fuzz_units.c

FUZZ_TARGETS =
fuzz: jobtabd$(EXEEXT)
	sh $(srcdir)/tests/fuzz/fuzz.sh $(srcdir) $(builddir) short $(FUZZ_TARGETS)
fuzz-long: jobtabd$(EXEEXT)
	sh $(srcdir)/tests/fuzz/fuzz.sh $(srcdir) $(builddir) long $(FUZZ_TARGETS)
.PHONY: fuzz fuzz-long

clean-local: clean-fuzz
clean-fuzz:
	rm -rf fuzz
.PHONY: clean-fuzz
