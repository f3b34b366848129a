// Fields by key, and whose option a field is, on a table made up here.
#include "core/field_ref.h"

#include "catch.h"
#include "core/row_table.h"

using namespace plumb;

namespace {

struct Animal {
    std::string name;
    std::vector<Option> options;
};

Option legs() { return {"legs", 4L, "how many legs it stands on", within(0, 1000)}; }

const std::vector<Animal>& animals() {
    static const std::vector<Animal> table{
        {"cat", {legs(), {"age", 1.0, "in years", at_least(0)}}},
        {"crab", {legs(), {"age", 1.0, "in years", at_least(0)}, {"claws", 2L, "of them"}}},
        {"fish",
         {{"age", 1.0, "in years", at_least(0)},
          {"depth", "deep", "where it is", Field(Choices{"deep", "shallow"}).or_number()}}}};
    return table;
}

const std::vector<Option>& animal_options() {
    static const std::vector<Option> all = options_of(animals(), "kind");
    return all;
}

struct ZooConfig {
    std::string kind = "cat";
    OptionValues options{animal_options()};

    template <class V>
    void visit(V& v) {
        v("kind", kind, "which animal", Field(row_names(animals())).rows_of("animals"));
        options.visit(v);
    }
};

std::string refusal(const ZooConfig& config) {
    ZooConfig copy = config, defaults;
    try {
        check_ranges("zoo", config);
        check_placed(refs_of("zoo", copy), refs_of("zoo", defaults));
    } catch (const UsageError& e) {
        return e.what();
    }
    return "";
}

}  // namespace

TEST_CASE("options of rows are merged, each once, and know whose they are", "[core]") {
    std::vector<std::string> names;
    for (const Option& option : animal_options()) names.push_back(option.name);
    CHECK(names == std::vector<std::string>{"legs", "age", "claws", "depth"});
    ZooConfig config;
    const std::vector<FieldRef> refs = refs_of("zoo", config);
    const FieldRef *age = find_ref(refs, "zoo.age"), *own = find_ref(refs, "zoo.legs");
    REQUIRE((age != nullptr && own != nullptr && find_ref(refs, "legs") == nullptr));
    CHECK(age->selector() == "");  // every row has it
    CHECK(own->selector() == "zoo.kind");
    CHECK(own->rule.only_with.values == std::vector<std::string>{"cat", "crab"});
    CHECK_FALSE(misplaced(refs, *age));
    CHECK_FALSE(misplaced(refs, *own));
    config.kind = "fish";
    const auto wrong = misplaced(refs, *own);
    REQUIRE(wrong);
    CHECK((wrong->selector == "zoo.kind" && wrong->chosen == "fish"));
    CHECK(wrong->owners == own->rule.only_with.values);
}

TEST_CASE("an option of another row must stay at its default", "[core]") {
    ZooConfig config;
    CHECK(refusal(config) == "");
    config.options.set("claws", 3L);
    CHECK(refusal(config) == "zoo.claws=3 is an option of crab, but zoo.kind is 'cat'");
    config.kind = "crab";
    CHECK(refusal(config) == "");
    config.options.set("legs", 1001L);
    CHECK(refusal(config) == "zoo.legs=1001 is out of range; it must be 0 to 1000");
    config.kind = "fihs";
    CHECK(refusal(config) ==
          "zoo.kind='fihs' is not one of cat, crab, fish; did you mean 'fish'? "
          "(`plumb list animals` says what they are)");
}

TEST_CASE("a choice that may be a number is one or the other", "[core]") {
    ZooConfig config;
    config.kind = "fish";
    for (const char* good : {"deep", "shallow", "-3", "2.5e1"}) {
        config.options.set("depth", good);
        CHECK(refusal(config) == "");
    }
    for (const char* bad : {"", "shalow", "3m", "inf", "nan"}) {
        config.options.set("depth", bad);
        CHECK_THAT(refusal(config), contains_text("is not one of deep, shallow or a number"));
    }
    config.options.set("depth", "shalow");
    CHECK_THAT(refusal(config), contains_text("did you mean 'shallow'"));
}

TEST_CASE("a row is found by its name, or the nearest is said", "[core]") {
    CHECK(&find_row(animals(), "crab", "animal") == &animals()[1]);
    CHECK_THROWS_WITH(find_row(animals(), "crabs", "animal"),
                      contains_text("unknown animal 'crabs'; did you mean 'crab'? (`plumb list "
                                    "animals` shows all)"));
}
