#include "config/config.h"

#include "catch.h"
#include "core/check.h"
#include "core/files.h"
#include "data/tasks.h"
#include "mixers/mixers.h"
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
    CHECK(c.mixer.integer("streams") == 2);
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
    CHECK(contains(refusal("", {"model.steps=3"}), "'train.steps'"));
    CHECK(contains(refusal("", {"trian.warmpu=3"}), "'train.warmup'"));
    // Nothing near: no guess, but where to look.
    const std::string far = refusal("", {"train.chocolate=3"});
    CHECK_FALSE(contains(far, "did you mean"));
    CHECK(contains(far, "plumb list settings"));
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
    CHECK(contains(file_refusal("[model]\nlayers = 6.5\n"), "a.toml:2: model.layers"));
    CHECK(contains(file_refusal("[model]\nlayers = \"6\"\n"), "takes an integer"));
    CHECK(contains(file_refusal("[model]\nqk_norm = 1\n"), "takes a boolean"));
    CHECK(contains(file_refusal("[model]\nmlp = 1\n"), "takes a text"));
    CHECK(contains(file_refusal("[train]\nlr = true\n"), "takes a number"));
    CHECK(contains(file_refusal("[train]\nlr = [1.0]\n"), "takes a number"));
    CHECK(contains(file_refusal("[train]\nlr = inf\n"), "train.lr"));
    CHECK(contains(file_refusal("[train\nlr = 1\n"), "a.toml:1: not valid TOML"));
    CHECK(contains(file_refusal("[train]\nlr = 1\nlr = 2\n"), "not valid TOML"));
    for (const char* bad :
         {"model.layers=6.5", "model.layers=1e", "model.layers=1e300",
          "model.layers=", "model.layers=6x", "train.lr=fast", "train.lr=nan", "train.lr=inf",
          "model.qk_norm=yes", "model.layers=99999999999999999999"})
        CHECK(contains(refusal("", {bad}), "command line: "));
}

TEST_CASE("choices and ranges are checked") {
    CHECK(contains(refusal("", {"model.mlp=swiglo"}), "did you mean 'swiglu'"));
    CHECK(contains(refusal("", {"mixer=atnres"}), "'attnres'"));
    CHECK(contains(refusal("", {"data.task=cpoy"}), "did you mean 'copy'"));
    for (const char* bad : {"train.steps=0", "train.lr=0", "train.lr=-1", "train.beta2=1",
                            "train.decay_fraction=1.5", "train.clip=-1", "record.probe_every=-1"}) {
        CHECK(contains(refusal("", {bad}), "command line: " + std::string(bad)));
        CHECK(contains(refusal("", {bad}), "is out of range; it must be"));
    }
    CHECK(refusal("", {"train.clip=0", "train.beta2=0", "train.decay_fraction=1",
                       "record.probe_every=0"}) == "");
    CHECK(contains(refusal("", {"mixer=attnres_block", "mixer.block_size=2", "mixer.n_blocks=2"}),
                   "exclude each other"));
    CHECK(contains(refusal("", {"data.path=x", "data.task=copy"}), "exclude each other"));
    // What a memory can hold is what its option says.
    CHECK(contains(refusal("", {"mixer=hyper", "mixer.streams=9"}), "it must be 1 to 8"));
    CHECK(contains(refusal("", {"mixer=mhc", "mixer.sinkhorn_iters=65"}), "it must be 1 to 64"));
    CHECK(contains(refusal("", {"data.task=copy", "data.task_vocab=1"}), "it must be 2 to 65535"));
    CHECK(contains(refusal("", {"mixer=atnres"}), "command line: mixer.name='atnres'"));
}

TEST_CASE("a pattern is kinds of sublayers, at least one") {
    const auto pattern = [](const std::string& typed) {
        return load_config("", {"model.pattern=" + typed}).config.model;
    };
    CHECK(pattern("attn, mlp").pattern == ModelConfig().pattern);
    const ModelConfig model = pattern("[\"attn\", \"attn\", \"mlp\"]");
    CHECK((model.sublayers() == 12 && model.layout().name(5) == "layer.1.attn2"));
    CHECK((model.has("mlp") && !pattern("attn").has("mlp")));
    const std::string unknown = refusal("", {"model.pattern=attn,mlps"});
    CHECK(contains(unknown, "model.pattern='mlps' is not one of attn, mlp"));
    CHECK(contains(unknown, "did you mean 'mlp'"));
    CHECK(contains(unknown, "`plumb list sublayers`"));
    CHECK(contains(refusal("", {"model.pattern=[]"}), "names nothing; it takes one or several of"));
    CHECK(contains(refusal("", {"model.pattern="}), "names nothing"));
    // Sublayers that no block has have no options, and mudd needs an attention to begin with.
    CHECK(contains(refusal("", {"model.pattern=mlp", "attn.rope=none"}),
                   "attn.rope=\"none\" is an option of attn sublayers, and model.pattern=[mlp] has "
                   "none"));
    const std::string mudd = refusal("", {"mixer=mudd", "model.pattern=mlp,attn"});
    CHECK(contains(mudd, "begins one with mlp"));
    CHECK(contains(mudd, "model.pattern=attn,mlp"));
    CHECK(refusal("", {"mixer=mudd", "model.pattern=attn,attn,mlp"}) == "");
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
    config.mixer.set("streams", 8L);
    CHECK_THROWS_AS(validate(config), UsageError);
    config.mixer.name = "hyper";
    CHECK_NOTHROW(validate(config));
}

TEST_CASE("a highway bias is a word or a number") {
    TempFolder folder;
    write_file(folder / "a.toml", "[mixer]\nname = \"highway\"\ngate_bias = -2.5\n");
    CHECK(load_config(folder / "a.toml", {}).config.mixer.text("gate_bias") == "-2.5");
    CHECK(load_config("", {"mixer=highway", "mixer.gate_bias=uniform"})
              .config.mixer.text("gate_bias") == "uniform");
    CHECK(contains(refusal("", {"mixer=highway", "mixer.gate_bias=deep"}), "gate_bias"));
    CHECK(
        contains(refusal("", {"mixer=highway", "mixer.gate_bias=deep"}),
                 "command line: mixer.gate_bias='deep' is not one of uniform, depth or a number"));
}

TEST_CASE("a list is words, in brackets and quotes or not") {
    const auto freeze = [](const std::string& typed) {
        return load_config("", {"mixer=attnres", "mixer.freeze=" + typed}).config.mixer.freeze;
    };
    CHECK(freeze("query") == Words{"query"});
    CHECK(freeze("[query]") == Words{"query"});  // what a shell leaves of ["query"]
    CHECK(freeze("[\"query\", 'key_gain']") == Words{"query", "key_gain"});
    CHECK(freeze("query , key_gain") == Words{"query", "key_gain"});
    for (const char* none : {"", " ", "[]", "[ ]"}) CHECK(freeze(none).empty());
    for (const char* wrong : {"query,", ",query", "query,,key_gain", "[,]"})
        CHECK(contains(refusal("", {fmt::format("mixer.freeze={}", wrong)}), "mixer.freeze"));
    TempFolder folder;
    write_file(folder / "a.toml",
               "[mixer]\nname = \"attnres\"\nfreeze = [\"query\", \"key_gain\"]\n");
    const Config config = load_config(folder / "a.toml", {}).config;
    CHECK(config.mixer.freeze == Words{"query", "key_gain"});
    CHECK(contains(to_toml(config), "freeze = [\"query\", \"key_gain\"]\n"));
    CHECK(to_json(config).at("mixer").at("freeze") == nlohmann::json{"query", "key_gain"});
    write_file(folder / "b.toml", to_toml(config));
    CHECK(load_config(folder / "b.toml", {}).config.mixer.freeze == config.mixer.freeze);
    write_file(folder / "c.toml", "[mixer]\nfreeze = [1]\n");
    CHECK(contains(refusal(folder / "c.toml", {}), "c.toml:2: mixer.freeze"));
    write_file(folder / "d.toml", "[mixer]\nfreeze = \"query\"\n");
    CHECK(load_config(folder / "d.toml", {}).config.mixer.freeze == Words{"query"});
}

TEST_CASE("validation in batches is refused, but a run's folder of that time reads on") {
    TempFolder folder;
    write_file(folder / "config.toml", "[train]\neval_batches = 7\nbatch = 3\n");
    CHECK(contains(refusal(folder / "config.toml", {}), "train.eval_sequences=64"));
    CHECK(contains(refusal("", {"train.eval_batches=8"}), "command line: train.eval_batches"));
    CHECK(load_run_config(folder.path()).train.eval_sequences == 21);
    CHECK(load_run_config(folder.path()).record.probe_sequences == 3);
    write_file(folder / "config.toml", "[train]\neval_batches = 9223372036854775807\nbatch = 3\n");
    CHECK_THROWS_AS(load_run_config(folder.path()), UsageError);
    write_file(folder / "config.toml", "[train]\neval_sequences = 5\nbatch = 3\n");
    CHECK(load_run_config(folder.path()).train.eval_sequences == 5);
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
        config.train.min_lr_fraction = 4.9406564584124654e-324;
        config.train.weight_decay = 1.0;
        config.model.norm_eps = 1.0 / 3.0;
        config.model.rope_base = 1e30;
        config.train.seed = 9223372036854775807L;
        config.model.tied_head = false;
        config.data.path = "a \"quoted\" back\\slash\nnew line\tand \x01 \u00e9";
        if (config.mixer.name == "mhc") config.mixer.set("streams", 7L);
        write_file(folder / "config.toml", to_toml(config));
        const Config back = load_config(folder / "config.toml", {}).config;
        CHECK(values(back) == values(config));
        CHECK(back.train.lr == config.train.lr);
        CHECK(back.train.min_lr_fraction == config.train.min_lr_fraction);
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
        INFO(f.key);
        CHECK(f.help.size() >= 20);
        if (f.type == "integer" || f.type == "number") CHECK_FALSE(f.allowed.empty());
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

TEST_CASE("an integer may be written with an exponent") {
    TempFolder folder;
    write_file(folder / "a.toml", "[train]\nsteps = 2e3\n");
    CHECK(load_config(folder / "a.toml", {}).config.train.steps == 2000);
    CHECK(load_config("", {"train.steps=1e3"}).config.train.steps == 1000);
    CHECK(load_config("", {"train.steps=2.5e2", "train.seed=9223372036854775807"})
              .config.train.seed == 9223372036854775807L);
    CHECK(contains(refusal("", {"train.steps=1e-3"}), "not an integer"));
    CHECK(contains(refusal("", {"train.seed=1e17"}), "not an integer"));
}

TEST_CASE("fields say whether they change the numbers of a run") {
    std::vector<std::string> free;
    for (const FieldInfo& f : fields())
        if (!f.changes_numbers) free.push_back(f.key);
    for (const char* key : {"train.log_every", "train.checkpoint_every", "train.keep_checkpoints",
                            "record.probe_every", "record.tensorboard"})
        CHECK(std::find(free.begin(), free.end(), key) != free.end());
    for (const char* key : {"train.lr", "train.steps", "train.eval_every", "train.precision",
                            "data.path", "mixer.name", "model.layers"})
        CHECK(std::find(free.begin(), free.end(), key) == free.end());
}

TEST_CASE("fields say which mixers or tasks read them, and what is allowed") {
    for (const FieldInfo& f : fields()) {
        if (f.key == "mixer.streams")
            CHECK(f.owners == std::vector<std::string>{"hyper", "mhc", "mhc_lite"});
        if (f.key == "data.task_hops") CHECK(f.owners == std::vector<std::string>{"khop"});
        if (f.key == "train.muon_lr") CHECK(f.owners == std::vector<std::string>{"muon"});
        if (f.key == "train.muon_lr") CHECK(f.selector == "train.optimizer");
        if (f.key == "data.task") CHECK(f.choices.size() == tasks().size() + 1);
        if (f.key == "mixer.name") CHECK(f.choices.size() == mixers().size());
        if (f.key == "train.lr") CHECK((f.owners.empty() && f.selector.empty()));
        if (f.key == "train.lr") CHECK(f.allowed == "above 0, at most 1000000");
        if (f.key == "train.seed") CHECK(f.allowed == "at least 0");
        if (f.key == "train.decay_fraction") CHECK(f.allowed == "0 to 1");
        if (f.key == "model.mlp") CHECK(f.allowed == "swiglu, gelu");
    }
}

TEST_CASE("training needs exactly one source of data") {
    Config config;
    CHECK_THROWS_AS(require_data(config), UsageError);
    config.data.task = "copy";
    CHECK_NOTHROW(require_data(config));
    config.data.path = "x";
    CHECK_THROWS_AS(require_data(config), UsageError);
}

TEST_CASE("malformed TOML is refused with its line before the parser sees it") {
    TempFolder folder;
    const auto file_refusal = [&](const std::string& text) {
        write_file(folder / "a.toml", text);
        return refusal(folder / "a.toml", {});
    };
    std::string deep_key = "a", deep_list(100000, '[');
    std::string deep_table;
    for (int i = 0; i < 100000; ++i) deep_key += ".a", deep_table += "{ a = ";
    const std::vector<std::pair<std::string, std::string>> bad{
        {"[ m[[model]\n", ":1: not valid TOML"},
        {"[model]\nlayers \xc3\x89{{{{", ":2: not valid TOML"},
        {deep_key + " = 1\n", "at most 8 parts"},
        {"[" + deep_key + "]\n", "at most 8 parts"},
        {"x = " + deep_list + "\n", "nested deeper"},
        {"[model]\nlayers = 4\xc3\xa9\n", ":2: "},
        {"[model]\nmlp = \xe2\x80\x9cgelu\xe2\x80\x9d\n", ":2: "},
        {"[model]\nlayers = 1\xff\n", "not UTF-8"},
        {"[train]\nlr = 00:00:00\n", "text in quotes"},
        {"[train]\nlr = 2020-01-01\n", "text in quotes"},
        {"[train]\nlr = { x = 1 }\n", "has the wrong type"},
        {"[train]\nlr = { x = 1\n", "',' or '}' should follow"},
        {"[train]\nlr = { x = 1 y = 2 }\n", "',' or '}' should follow"},
        {"[train]\nlr = { x = 1, }\n", "a key is made of"},
        {"[train]\nlr = { x }\n", "'=' should follow"},
        {"[train]\nlr = {\nx = 1 }\n", "a key is made of"},
        {"x = " + deep_table + "\n", "nested deeper"},
        {"[model]\nmlp = \"gelu\n", "closing quote"},
        {"[model]\nmlp = 'gelu\n", "closing quote"},
        {"[model]\nmlp = \"\"\"gelu\n", "closing quote"},
        {"[model\n", "']' should follow"},
        {"[[model]\n", "']]' should end"},
        {"[model] x\n", "the line should end"},
        {"[model]\nlayers 4\n", "'=' should follow"},
        {"[model]\nlayers =\n", "a value should follow"},
        {"[model]\n= 4\n", "a key is made of"},
        {"x = [1, 2\n", "a bracket is never closed"},
        {"x = 1 # \x07\n", "control character"}};
    for (const auto& [text, mention] : bad) {
        const std::string message = file_refusal(text);
        INFO(text.substr(0, 60) << " -> " << message.substr(0, 200));
        CHECK(contains(message, "a.toml:"));
        CHECK(contains(message, mention));
        CHECK(message.size() < 400);
    }
}

TEST_CASE("all the forms of TOML that settings need are read") {
    TempFolder folder;
    write_file(folder / "base.toml", "[train]\nsteps = 7\n");
    write_file(folder / "a.toml",
               "\xef\xbb\xbf# comment \xc3\xa9\r\nextends = 'base.toml' # one\r\n[ model ]\r\n"
               "layers=0x03\n\twidth = 1_28\n\"heads\" = +2\nnorm_eps = 1.5e-6\n"
               "mlp = \"\"\"gelu\"\"\"\n[data]\npath = \"d\xc3\xa9 \\\"x\\\" \\u00e9\"\n"
               "[mixer]\nname = '''mhc'''\n[train]\nlr=1E-2\n");
    const Config c = load_config(folder / "a.toml", {}).config;
    CHECK(c.model.layers == 3);
    CHECK(c.model.width == 128);
    CHECK(c.model.heads == 2);
    CHECK(c.model.norm_eps == 1.5e-6);
    CHECK(c.model.mlp == "gelu");
    CHECK(c.data.path == "d\xc3\xa9 \"x\" \xc3\xa9");
    CHECK(c.mixer.name == "mhc");
    CHECK(c.train.steps == 7);
    CHECK(c.train.lr == 0.01);
}
