#include "experiment/config.h"

#include "catch.h"
#include "core/check.h"
#include "core/files.h"
#include "support/temp_folder.h"

using namespace plumb;

namespace {

// The message of the UsageError that loading throws; "" if it does not throw.
std::string refusal(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
    try {
        load_config(file, overrides);
    } catch (const UsageError& e) {
        return e.what();
    }
    return "";
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("defaults, files, extends and overrides apply in this order, with origins") {
    TempFolder folder;
    write_file(folder / "base.toml",
               "[model]\nlayers = 6\nwidth = 64\n[train]\nlr = 1\nsteps = 10\n");
    write_file(folder / "sub.toml", "extends = \"base.toml\"\n[model]\nlayers = 8\n");
    const auto loaded = load_config(
        folder / "sub.toml", {"train.steps=20", "mixer=mhc", "mixer.streams=2", "train.lr=3e-4"});
    const Config& c = loaded.config;
    CHECK(c.model.layers == 8);
    CHECK(c.model.width == 64);
    CHECK(c.model.heads == ModelConfig{}.heads);
    CHECK(c.train.steps == 20);
    CHECK(c.train.lr == 3e-4);
    CHECK(c.mixer.name == "mhc");
    CHECK(c.mixer.streams == 2);
    CHECK(loaded.origin.at("model.layers") == (folder / "sub.toml").string() + ":3");
    CHECK(loaded.origin.at("model.width") == (folder / "base.toml").string() + ":3");
    CHECK(loaded.origin.at("train.steps") == "command line");
    CHECK(loaded.origin.at("mixer.name") == "command line");
    CHECK(loaded.origin.at("model.heads") == "default");
    CHECK(loaded.origin.size() == fields().size());
}

TEST_CASE("an unknown key names the place and the nearest key") {
    TempFolder folder;
    write_file(folder / "a.toml", "[model]\nlayres = 6\n");
    const std::string in_file = refusal(folder / "a.toml", {});
    CHECK(contains(in_file, "a.toml:2"));
    CHECK(contains(in_file, "'model.layres'"));
    CHECK(contains(in_file, "'model.layers'"));
    CHECK(contains(refusal("", {"train.stesp=3"}), "'train.steps'"));
    CHECK(contains(refusal("", {"lr=3"}), "'train.lr'"));
    CHECK(contains(refusal("", {"layers=3"}), "'model.layers'"));
    write_file(folder / "b.toml", "steps = 6\n");
    CHECK(contains(refusal(folder / "b.toml", {}), "'train.steps'"));
    CHECK(contains(refusal("", {"train.steps"}), "key=value"));
    CHECK(contains(refusal("", {"runs/a.toml"}), "-c runs/a.toml"));
}

TEST_CASE("a wrong type is an error with its place") {
    TempFolder folder;
    const auto file_refusal = [&](const std::string& text) {
        write_file(folder / "a.toml", text);
        return refusal(folder / "a.toml", {});
    };
    CHECK(contains(file_refusal("[model]\nlayers = 6.0\n"), "a.toml:2: model.layers"));
    CHECK(contains(file_refusal("[model]\nlayers = \"6\"\n"), "takes an integer"));
    CHECK(contains(file_refusal("[model]\nqk_norm = 1\n"), "takes a boolean"));
    CHECK(contains(file_refusal("[model]\nmlp = 1\n"), "takes a text"));
    CHECK(contains(file_refusal("[train]\nlr = true\n"), "takes a number"));
    CHECK(contains(file_refusal("[train]\nlr = [1.0]\n"), "takes a number"));
    CHECK(contains(file_refusal("[train]\nlr = inf\n"), "train.lr"));
    CHECK(contains(file_refusal("[train\nlr = 1\n"), "a.toml:1: not valid TOML"));
    CHECK(contains(file_refusal("[train]\nlr = 1\nlr = 2\n"), "not valid TOML"));
    for (const char* bad :
         {"model.layers=6.0", "model.layers=", "model.layers=6x", "train.lr=fast", "train.lr=nan",
          "train.lr=inf", "model.qk_norm=yes", "model.layers=99999999999999999999"})
        CHECK(contains(refusal("", {bad}), "command line: "));
}

TEST_CASE("choices and ranges are checked") {
    CHECK(contains(refusal("", {"model.mlp=swiglo"}), "did you mean 'swiglu'"));
    CHECK(contains(refusal("", {"mixer=atnres"}), "'attnres'"));
    CHECK(contains(refusal("", {"data.task=cpoy"}), "did you mean 'copy'"));
    for (const char* bad : {"train.steps=0", "train.lr=0", "train.lr=-1", "train.beta2=1",
                            "train.decay_fraction=1.5", "train.clip=-1", "record.probe_every=-1"})
        CHECK(contains(refusal("", {bad}), "out of range"));
    CHECK(refusal("", {"train.clip=0", "train.beta2=0", "train.decay_fraction=1",
                       "record.probe_every=0"}) == "");
    CHECK(contains(refusal("", {"mixer=attnres_block", "mixer.block_size=2", "mixer.n_blocks=2"}),
                   "exclude each other"));
    CHECK(contains(refusal("", {"data.path=x", "data.task=copy"}), "exclude each other"));
}

TEST_CASE("options of another mixer or task are refused, naming where they belong") {
    TempFolder folder;
    const std::string message = refusal("", {"mixer=attnres", "mixer.streams=4"});
    CHECK(contains(message, "hyper, mhc"));
    CHECK(contains(message, "'attnres'"));
    CHECK(contains(refusal("", {"mixer.key_gain=true"}), "attnres, attnres_block"));
    CHECK(contains(refusal("", {"mixer=attnres", "mixer.block_size=2"}), "attnres_block"));
    CHECK(contains(refusal("", {"data.task=copy", "data.task_hops=2"}), "khop"));
    write_file(folder / "a.toml", "[mixer]\ngate = \"vector\"\n");
    CHECK(contains(refusal(folder / "a.toml", {}), "a.toml:2: mixer.gate"));
    CHECK(refusal(folder / "a.toml", {"mixer=highway"}) == "");
    // Also when built by hand.
    Config config;
    config.mixer.streams = 8;
    CHECK_THROWS_AS(validate(config), UsageError);
    config.mixer.name = "hyper";
    CHECK_NOTHROW(validate(config));
}

TEST_CASE("a highway bias is a word or a number") {
    TempFolder folder;
    write_file(folder / "a.toml", "[mixer]\nname = \"highway\"\ngate_bias = -2.5\n");
    CHECK(load_config(folder / "a.toml", {}).config.mixer.gate_bias == "-2.5");
    CHECK(load_config("", {"mixer=highway", "mixer.gate_bias=uniform"}).config.mixer.gate_bias ==
          "uniform");
    CHECK(contains(refusal("", {"mixer=highway", "mixer.gate_bias=deep"}), "gate_bias"));
}

TEST_CASE("extends: circles and missing files are errors") {
    TempFolder folder;
    write_file(folder / "a.toml", "extends = \"b.toml\"\n");
    write_file(folder / "b.toml", "extends = \"./a.toml\"\n");
    CHECK(contains(refusal(folder / "a.toml", {}), "circle"));
    write_file(folder / "c.toml", "extends = \"none.toml\"\n");
    CHECK_THROWS_AS(load_config(folder / "c.toml", {}), IoError);
    write_file(folder / "d.toml", "extends = 3\n");
    CHECK(contains(refusal(folder / "d.toml", {}), "d.toml:1"));
}

TEST_CASE("the resolved TOML reads back to the same bits") {
    TempFolder folder;
    for (const char* name :
         {"standard", "highway", "denseformer", "hyper", "mhc", "attnres", "attnres_block"}) {
        Config config;
        config.mixer.name = name;
        config.train.lr = 0.1 + 0.2;
        config.train.adam_eps = 4.9406564584124654e-324;
        config.train.weight_decay = 1.0;
        config.model.norm_eps = 1.0 / 3.0;
        config.model.rope_base = 1e300;
        config.train.seed = 9223372036854775807L;
        config.model.tied_head = false;
        config.data.path = "a \"quoted\" back\\slash\nnew line\tand \x01 \u00e9";
        if (config.mixer.name == "mhc") config.mixer.streams = 7;
        write_file(folder / "config.toml", to_toml(config));
        const Config back = load_config(folder / "config.toml", {}).config;
        CHECK(values(back) == values(config));
        CHECK(back.train.lr == config.train.lr);
        CHECK(back.train.adam_eps == config.train.adam_eps);
        CHECK(back.model.norm_eps == config.model.norm_eps);
        CHECK(back.model.rope_base == config.model.rope_base);
        CHECK(back.train.seed == config.train.seed);
        CHECK(back.data.path == config.data.path);
        CHECK(to_toml(back) == to_toml(config));
        CHECK(to_json(back) == to_json(config));
    }
}

TEST_CASE("the field list is complete enough for help") {
    bool seen = false;
    for (const FieldInfo& f : fields()) {
        CHECK_FALSE(f.help.empty());
        if (f.key != "model.mlp") continue;
        seen = true;
        CHECK(f.type == "text");
        CHECK(f.default_value == "\"swiglu\"");
        CHECK(f.choices == Choices{"swiglu", "gelu"});
    }
    CHECK(seen);
    CHECK(to_json(Config{})["model"]["layers"] == 4);
    CHECK_FALSE(to_json(Config{})["mixer"].contains("streams"));
}

TEST_CASE("training needs exactly one source of data") {
    Config config;
    CHECK_THROWS_AS(require_data(config), UsageError);
    config.data.task = "copy";
    CHECK_NOTHROW(require_data(config));
    config.data.path = "x";
    CHECK_THROWS_AS(require_data(config), UsageError);
}
