#include "check/oracle_fixture.h"

#include "check/compare.h"
#include "check/toy_stack.h"
#include "config/config.h"
#include "core/json.h"

#include <map>

namespace fs = std::filesystem;

namespace plumb {
namespace {

[[noreturn]] void refuse(const SafetensorsFile& file, const std::string& why) {
    throw IoError(fmt::format("{}: {}; run scripts/oracle/make_fixtures.py to write it again",
                              file.path().string(), why));
}

template <class Real>
void load(const SafetensorsFile& file, Transformer<Real>& model) {
    std::size_t n_stored = 0;
    for (const std::string& name : file.names()) n_stored += name.starts_with("param/");
    if (n_stored != model.params().specs().size())
        refuse(file, fmt::format("holds {} parameters, the model has {}", n_stored,
                                 model.params().specs().size()));
    for (const ParamSpec& spec : model.params().specs()) {
        const auto from = file.values<double>("param/" + spec.name);
        const View<Real> to = model.params().value(model.params().find(spec.name));
        if (std::ssize(from) != to.count())
            refuse(file, fmt::format("{} is not {}", spec.name, spec.shape.text()));
        put(to, std::vector<Real>(from.begin(), from.end()).data());
    }
    for (const auto& [name, to] :
         {std::pair{"tokens", model.tokens()}, {"targets", model.targets()}}) {
        const auto from = file.values<std::int64_t>(name);
        if (std::ssize(from) != to.count()) refuse(file, std::string(name) + " has another length");
        put(to, std::vector<std::int32_t>(from.begin(), from.end()).data());
    }
}

// want: (L+1, N, L+1), or with an axis more: of groups of channels, or of ways.
template <class Real>
double matrix_difference(const SafetensorsFile& file, Transformer<Real>& model) {
    const auto want = file.values<double>("matrix");
    const Index rows = model.sublayers() + 1, n_tokens = model.tokens().count();
    const Index ways = model.mixer().most_ways(), groups = model.mixer().matrix_channels();
    const Index row_size = rows * groups;
    if (std::ssize(want) != rows * n_tokens * row_size * ways)
        refuse(file, "matrix has another shape");
    const auto matrices =
        model.mixer().matrices(Context{.device = model.plan().device()}.in(model.frame()));
    double error = 0;
    for (Index nw = 0; nw < n_tokens * ways; ++nw) {
        const Index n = nw / ways, way = nw % ways;
        const std::vector<Real> m = depth_matrix(model.mixer(), matrices, n, static_cast<int>(way));
        for (Index r = 0; r < rows; ++r) {
            const std::span row(m.data() + r * row_size, static_cast<std::size_t>(row_size));
            std::vector<double> stored;
            for (Index i = 0; i < row_size; ++i)
                stored.push_back(want[static_cast<std::size_t>(
                    ((r * n_tokens + n) * row_size + i) * ways + way)]);
            error = worse(error, relative_error(row, std::span(stored)));
        }
    }
    return error;
}

// "attn.norm.gain" of "layer.3.attn.norm.gain": what the same parameter of every layer is called.
std::string kind_of(const std::string& name) {
    if (!name.starts_with("layer.")) return name;
    return name.substr(name.find('.', std::string("layer.").size()) + 1);
}

template <class Real>
double gradient_difference(const SafetensorsFile& file, Transformer<Real>& model) {
    auto& params = model.params();
    std::map<std::string, double> largest;  // entry of the kind
    for (const ParamSpec& spec : params.specs())
        for (const double x : file.values<double>("grad/" + spec.name)) {
            double& most = largest[kind_of(spec.name)];
            most = std::max(most, std::abs(x));
        }
    double error = 0;
    for (const ParamSpec& spec : params.specs()) {
        const std::vector<Real> got = fetch<Real>(params.grad(params.find(spec.name)));
        error =
            worse(error, relative_error(std::span(got), file.values<double>("grad/" + spec.name),
                                        largest.at(kind_of(spec.name))));
    }
    return error;
}

}  // namespace

std::vector<fs::path> fixture_paths(const fs::path& folder) {
    std::vector<fs::path> paths;
    if (!fs::is_directory(folder)) return paths;
    for (const auto& entry : fs::directory_iterator(folder))
        if (entry.path().extension() == ".safetensors") paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    return paths;
}

fs::path find_fixtures() {
    std::error_code error;
    const fs::path executable = fs::read_symlink("/proc/self/exe", error);
    for (const fs::path& base : {fs::path("."), executable.parent_path() / ".." / ".."}) {
        const fs::path folder = (base / "tests" / "fixtures").lexically_normal();
        if (!fixture_paths(folder).empty()) return folder;
    }
    return {};
}

TransformerShape fixture_shape(const SafetensorsFile& file) {
    try {
        const auto& meta = file.metadata();
        const auto overrides =
            parse_json(meta.at("config"), file.path().string()).get<std::vector<std::string>>();
        const Config c = load_config("", overrides).config;
        return {c.model, c.mixer, std::stol(meta.at("vocab")), std::stol(meta.at("batch")), 1};
    } catch (const std::exception& e) {
        refuse(file, std::string("not a fixture of this version: ") + e.what());
    }
}

template <class Real>
std::unique_ptr<Transformer<Real>> fixture_model(const SafetensorsFile& file, Device device) {
    TransformerShape shape = fixture_shape(file);
    shape.device = device;
    auto model = std::make_unique<Transformer<Real>>(shape);
    model->allocate(1);
    load(file, *model);
    return model;
}

template <class Real>
OracleErrors oracle_errors(const SafetensorsFile& file, Device device) {
    const auto model = fixture_model<Real>(file, device);
    const Context ctx{.device = device};
    const double want = std::stod(file.metadata().at("loss"));
    OracleErrors errors{};
    errors.loss = std::abs(model->forward(ctx) - want) / std::abs(want);
    errors.matrix = matrix_difference(file, *model);
    model->backward(ctx);
    errors.gradient = gradient_difference(file, *model);
    return errors;
}

template std::unique_ptr<Transformer<float>> fixture_model(const SafetensorsFile&, Device);
template std::unique_ptr<Transformer<double>> fixture_model(const SafetensorsFile&, Device);
template OracleErrors oracle_errors<float>(const SafetensorsFile&, Device);
template OracleErrors oracle_errors<double>(const SafetensorsFile&, Device);

}  // namespace plumb
