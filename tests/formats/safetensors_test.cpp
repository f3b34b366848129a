#include "formats/safetensors.h"

#include "catch.h"
#include "core/check.h"
#include "core/files.h"
#include "support/temp_folder.h"

#include <cstring>

using namespace plumb;

namespace {

// What safetensors.numpy.save (Python, 0.8.0) wrote for a = int64 [7, -1],
// b = float32 [[1.5, -2], [0.25, 3]], c = uint8 [1, 2, 3], metadata {"mixer": "standard"}.
const std::string kPythonHeader =
    R"({"__metadata__":{"mixer":"standard"},"a":{"dtype":"I64","shape":[2],"data_offsets":[0,16]},)"
    R"("b":{"dtype":"F32","shape":[2,2],"data_offsets":[16,32]},)"
    R"("c":{"dtype":"U8","shape":[3],"data_offsets":[32,35]}}      )";
const std::string kPythonData(
    "\x07\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"
    "\0\0\xc0\x3f\0\0\0\xc0\0\0\x80\x3e\0\0\x40\x40\x01\x02\x03",
    35);

std::string framed(const std::string& header, const std::string& data) {
    const std::uint64_t length = header.size();
    std::string out(reinterpret_cast<const char*>(&length), sizeof length);
    return out + header + data;
}

std::string refusal(const std::string& bytes) {
    TempFolder folder;
    write_file(folder / "x.safetensors", bytes);
    try {
        SafetensorsFile::open(folder / "x.safetensors");
    } catch (const IoError& e) {
        return e.what();
    }
    return "";
}

std::string one_tensor(const std::string& rest) {
    return R"({"a":{"dtype":"F32","shape":[2],"data_offsets":)" + rest + "}}";
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a file written by Python is read", "[formats]") {
    TempFolder folder;
    write_file(folder / "p.safetensors", framed(kPythonHeader, kPythonData));
    const auto file = SafetensorsFile::open(folder / "p.safetensors");
    CHECK(file.names() == std::vector<std::string>{"a", "b", "c"});
    CHECK(file.metadata() == SafetensorsMetadata{{"mixer", "standard"}});
    CHECK(file.dtype("a") == "I64");
    CHECK(file.shape("b") == std::vector<Index>{2, 2});
    CHECK(file.values<std::int64_t>("a")[1] == -1);
    const auto b = file.values<float>("b");
    CHECK(std::vector<float>(b.begin(), b.end()) == std::vector<float>{1.5f, -2.0f, 0.25f, 3.0f});
    CHECK(file.bytes("c").size() == 3);
    CHECK(file.bytes("c")[2] == std::byte{3});
    CHECK_THROWS_AS(file.values<double>("b"), IoError);
    CHECK_THROWS_WITH(file.bytes("d"), contains_text("a, b, c"));
}

TEST_CASE("we write the bytes that Python writes", "[formats]") {
    TempFolder folder;
    const std::int64_t a[] = {7, -1};
    const float b[] = {1.5f, -2.0f, 0.25f, 3.0f};
    const std::uint8_t c[] = {1, 2, 3};
    // The narrow type comes first here, and last in the file.
    const std::vector<TensorRef> tensors{
        {"c", "U8", {3}, c}, {"a", "I64", {2}, a}, {"b", "F32", {2, 2}, b}};
    write_safetensors(folder / "p.safetensors", tensors, {{"mixer", "standard"}});
    CHECK(read_file(folder / "p.safetensors") == framed(kPythonHeader, kPythonData));
}

TEST_CASE("every type, scalars, empty tensors and no tensors at all survive the round trip",
          "[formats]") {
    TempFolder folder;
    float f[] = {0.1f, -0.0f, 3e38f};
    const double d[] = {0.1};
    const std::int32_t i[] = {-5, 6};
    const std::uint16_t bf16[] = {0x3f80, 0x8000, 0x7fc1};
    const View<float> view{f, {{'N', 3}, {'C', 1}}};
    const std::vector<TensorRef> tensors{TensorRef::of("f", view),
                                         {"d", "F64", {}, d},
                                         {"i", "I32", {1, 2, 1}, i},
                                         {"h", "BF16", {3}, bf16},
                                         {"none", "F32", {0, 4}, nullptr}};
    write_safetensors(folder / "x", tensors);
    const auto file = SafetensorsFile::open(folder / "x");
    CHECK(std::memcmp(file.bytes("f").data(), f, sizeof f) == 0);
    CHECK(file.shape("f") == std::vector<Index>{3, 1});
    CHECK(file.values<double>("d")[0] == 0.1);
    CHECK(file.shape("d").empty());
    CHECK(file.values<std::int32_t>("i")[1] == 6);
    CHECK(file.dtype("h") == "BF16");
    CHECK(std::memcmp(file.bytes("h").data(), bf16, sizeof bf16) == 0);
    CHECK(file.values<float>("none").empty());
    CHECK(file.metadata().empty());
    write_safetensors(folder / "x", {});
    CHECK(SafetensorsFile::open(folder / "x").names().empty());
    CHECK(read_file(folder / "x") == framed("{}      ", ""));
}

TEST_CASE("what a writer may not do", "[formats]") {
    TempFolder folder;
    const float x = 1;
    const std::vector<TensorRef> twice{{"a", "F32", {}, &x}, {"a", "F32", {}, &x}};
    CHECK_THROWS_AS(write_safetensors(folder / "x", twice), InternalError);
    const std::vector<TensorRef> odd{{"a", "float", {}, &x}};
    CHECK_THROWS_AS(write_safetensors(folder / "x", odd), InternalError);
    CHECK_THROWS_AS(write_safetensors(folder / "none/x", {}), IoError);
}

TEST_CASE("truncated and foreign files are refused with a reason", "[formats]") {
    const std::string whole = framed(kPythonHeader, kPythonData);
    REQUIRE(refusal(whole) == "");
    for (std::size_t n = 0; n < whole.size(); ++n) {
        INFO("first " << n << " bytes");
        CHECK(contains(refusal(whole.substr(0, n)), "x.safetensors"));
    }
    CHECK(contains(refusal(whole.substr(0, whole.size() - 1)), "truncated"));
    CHECK(contains(refusal(whole + "x"), "1 bytes follow"));
    CHECK(contains(refusal("PK\x03\x04 a zip file, more or less"), "another kind of file"));
    CHECK(contains(refusal(framed("[1, 2]", "")), "'{'"));
    CHECK(contains(refusal(framed(" {}", "")), "'{'"));
    CHECK(contains(refusal(framed("{\"a\": }", "")), "not valid JSON"));
    // Deep enough to end a recursive reader by a signal.
    const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
    for (const std::string& header :
         {one_tensor(deep), R"({"a":{"dtype":"F32","shape":)" + deep + "}}"})
        CHECK(contains(refusal(framed(header, "")), "nested deeper"));
}

TEST_CASE("a header must name every byte once", "[formats]") {
    const std::string data(8, 'x');
    REQUIRE(refusal(framed(one_tensor("[0,8]"), data)) == "");
    CHECK(contains(refusal(framed(one_tensor("[0,4]"), data)), "does not fill"));
    CHECK(contains(refusal(framed(one_tensor("[8,0]"), data)), "data_offsets"));
    CHECK(contains(refusal(framed(one_tensor("[-8,0]"), data)), "data_offsets"));
    CHECK(contains(refusal(framed(one_tensor("[0.0,8.0]"), data)), "data_offsets"));
    CHECK(contains(refusal(framed(one_tensor("[0,8,8]"), data)), "data_offsets"));
    CHECK(contains(refusal(framed(one_tensor("[8,16]"), data + data)), "hole"));
    CHECK(contains(refusal(framed(one_tensor("[0,8],\"x\":1"), data)), "exactly"));
    CHECK(contains(
        refusal(framed(R"({"a":{"dtype":"F33","shape":[],"data_offsets":[0,8]}})", data)), "F33"));
    CHECK(contains(
        refusal(framed(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", data)),
        "shape"));
    // 2^62 numbers of 4 bytes: the product wraps to 0.
    CHECK(contains(refusal(framed(R"({"a":{"dtype":"F32","shape":[4611686018427387904],)"
                                  R"("data_offsets":[0,0]}})",
                                  "")),
                   "does not fill"));
    const std::string f32 = R"({"dtype":"F32","shape":[2],"data_offsets":)";
    CHECK(
        contains(refusal(framed("{\"a\":" + f32 + "[0,8]},\"b\":" + f32 + "[4,12]}}", data + data)),
                 "overlap"));
    CHECK(contains(refusal(framed("{\"a\":" + f32 + "[0,8]},\"b\":" + f32 + "[0,8]}}", data)),
                   "overlap"));
    CHECK(contains(refusal(framed("{\"a\":" + f32 + "[0,8]},\"a\":" + f32 + "[0,8]}}", data)),
                   "twice"));
    CHECK(contains(refusal(framed(R"({"__metadata__":{"n":1}})", "")), "__metadata__"));
}

TEST_CASE("an unpadded header does not misalign the numbers", "[formats]") {
    TempFolder folder;
    const float x[] = {1.5f, 2.5f};
    const std::string data(reinterpret_cast<const char*>(x), sizeof x);
    std::string header = one_tensor("[0,8]");
    while ((header.size() + 8) % 4 != 1) header += ' ';
    write_file(folder / "x", framed(header, data));
    CHECK(SafetensorsFile::open(folder / "x").values<float>("a")[1] == 2.5f);
}
