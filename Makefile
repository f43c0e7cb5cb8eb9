# ecomsocial: a PGXS build.
#
#   make            build against the server that pg_config names
#   make demo       run the main job on a throw-away server
#   make test       run every test on a throw-away server
#   make lint       check what no test sees: comments, symbols, format, documents
#   make install, make installcheck     the PGXS way, against any server

EXTENSION   = ecomsocial
MODULE_big  = ecomsocial
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" ecomsocial.control)
EXTSCRIPT   = ecomsocial--$(EXTVERSION).sql

# The install script is made of these files, in this order: a file uses only
# what an earlier one created.
SQL_MODULES = 00_header 10_base 20_sketch 30_activity 31_growth 32_growth_agg \
			  40_scd2 41_scd2_layout 42_scd2_write 43_scd2_read 50_rollup 51_partitions 60_stock 61_stock_refresh 62_stock_create 65_model \
			  70_ecommerce 71_ecommerce_rollups 72_ecommerce_refresh 73_ecommerce_reports \
			  80_social 81_social_rollups 82_social_refresh 83_social_reports 90_clv
SQL_FILES   = $(wildcard $(SQL_MODULES:%=sql/%.sql))

OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*/*.c)))

# A caller's DATA names a file of orders for the demo and the tests; PGXS has a DATA of its own.
ORDERS     := $(DATA)
demo test: export DATA = $(ORDERS)

DATA        = $(wildcard sql/upgrade/ecomsocial--*.sql)
DATA_built  = $(EXTSCRIPT)
EXTRA_CLEAN = ecomsocial--*.sql results output_iso

# The server's headers are system headers to us: our warnings are about our code.
PG_CONFIG  ?= pg_config
PG_CPPFLAGS = -isystem $(shell $(PG_CONFIG) --includedir-server) -I$(srcdir)/src -Wall -Wextra -DECS_VERSION='"$(EXTVERSION)"'

# Whatever stands in test/ is run: a forgotten list entry is a test that cannot fail.
REGRESS        = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS   = --inputdir=test --load-extension=ecomsocial
ISOLATION      = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=ecomsocial
# a schema of a test may be called like the superuser who runs it
installcheck: export PGOPTIONS += -c search_path=public

# A pg_config alone is no server's: Debian's client packages bring one.
ifeq ($(wildcard $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)/postgres.h),)
# Only the goals that install what is missing can be reached without a server.
.DEFAULT_GOAL := needs-server
needs-server all install installcheck:
	@echo "no headers of a PostgreSQL server found: run 'make setup' (as root), or set PG_CONFIG" >&2; exit 1
else
PGXS := $(shell $(PG_CONFIG) --pgxs)
# A server with JIT wants bitcode beside the library.  Where the clang that it was built with is
# missing, there is none: our functions are called from compiled expressions instead of inlined.
ifeq ($(shell command -v $$(sed -n 's/^CLANG *= *//p' $(dir $(PGXS))../Makefile.global)),)
override with_llvm = no
endif
include $(PGXS)
ifeq ($(shell expr $(MAJORVERSION) \< 15),1)
$(error ecomsocial needs PostgreSQL 15 or later, $(PG_CONFIG) is $(VERSION))
endif
endif

# PGXS tracks no headers, so every object depends on all of ours.
$(OBJS) $(OBJS:.o=.bc): $(wildcard src/*/*.h) ecomsocial.control

$(EXTSCRIPT): $(SQL_FILES) ecomsocial.control
	cat $(SQL_FILES) > $@

.PHONY: setup test demo lint
setup:
	test/tools/setup

test: setup
	test/tools/run-tests

lint: setup
	test/tools/run-checks

demo: setup
	demo/run
