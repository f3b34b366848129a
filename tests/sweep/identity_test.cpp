// A run's id: every setting that changes numbers is in it, and nothing else.
#include "sweep/identity.h"
#include "catch.h"
#include "config/config_fields.h"
#include "support/run_program.h"
#include "support/temp_folder.h"

using namespace plumb;
using namespace plumb::test;

namespace {

Config loaded(const std::vector<std::string>& settings) { return load_config("", settings).config; }

// A config of a mixer, optimizer and task that read the field.
Config home_of(const FieldInfo& info) {
    Config config;
    config.data.task = "copy";
    for (FieldRef& field : field_refs(config))
        if (field.key == info.selector) field.parse(info.owners.front());
    return config;
}

// Moves the field to another value that it may have.
void change(FieldRef& field) {
    struct Change {
        const FieldRef& field;
        void operator()(long* v) const { *v = field.rule.range.holds(*v + 1.0) ? *v + 1 : *v - 1; }
        void operator()(double* v) const {
            const double more = *v * 1.5 + 1e-3;
            *v = field.rule.range.holds(more) ? more : *v / 2;
        }
        void operator()(bool* v) const { *v = !*v; }
        void operator()(std::string* v) const {
            *v = field.rule.number_too              ? "0.5"
                 : field.rule.choices.empty()       ? *v + "x"
                 : field.rule.choices.front() == *v ? field.rule.choices.back()
                                                    : field.rule.choices.front();
        }
        void operator()(Words* v) const { v->push_back("query"); }
    };
    std::visit(Change{field}, field.value);
}

}  // namespace

TEST_CASE("the id holds each setting that changes numbers, and no other", "[sweep]") {
    for (const FieldInfo& info : fields()) {
        INFO(info.key);
        Config config = home_of(info);
        const std::string before = run_id(config, "data");
        for (FieldRef& field : field_refs(config))
            if (field.key == info.key) change(field);
        const bool moves = info.changes_numbers && info.key != "data.path";
        CHECK((run_id(config, "data") != before) == moves);
    }
}

TEST_CASE("the id is of the data, not of where they lie, nor of how a file says it", "[sweep]") {
    const Config here = loaded({"data.path=here", "model.layers=3", "train.lr=1e-3"});
    CHECK(run_id(here, "a") ==
          run_id(loaded({"train.lr=0.001", "data.path=there", "record.label=x", "model.layers=3"}),
                 "a"));
    CHECK(run_id(here, "a") != run_id(here, "b"));
    const TempFolder temp;
    spill(temp / "a.toml", "# why\n[train]\nlr = 1e-3\n[model]\nlayers = 3\n");
    CHECK(run_id(load_config(temp / "a.toml", {}).config, "a") == run_id(here, "a"));
    CHECK(run_id(here, "a").size() == 10);
}

// The SHA-256 of the lines, by another program.
TEST_CASE("only runs whose numbers have changed have other ids than before", "[sweep]") {
    CHECK(run_id(loaded({"model.layers=3"}), "a") == "5bddc9378b");     // numerics = 1
    CHECK(run_id(loaded({"model.dropout=0.1"}), "a") == "979a9a2e2c");  // numerics = 2
}
