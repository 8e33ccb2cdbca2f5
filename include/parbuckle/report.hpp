// Reports of what an examination or a comparison found.
#ifndef PARBUCKLE_REPORT_HPP
#define PARBUCKLE_REPORT_HPP

#include <parbuckle/value.hpp>

namespace parbuckle {

/// One thing that was found.
struct Finding {
  parb_code code;
  /// A digest, a path, a field.
  std::string_view subject;
  std::string_view message;
  std::string_view code_name() const noexcept { return parb_error_code_name(code); }
};

/// A range of findings; empty() where all is well.
class Report : public detail::Handle<parb_report, parb_report_free> {
  struct View {
    const parb_report *report = nullptr;
    Finding operator[](std::size_t i) const noexcept {
      return {parb_report_code_at(report, i), detail::lent(parb_report_subject_at(report, i)),
              detail::lent(parb_report_message_at(report, i))};
    }
  };

 public:
  using Handle::Handle;
  static constexpr auto take_from = parb_op_take_report;
  std::size_t size() const noexcept { return parb_report_count(get()); }
  bool empty() const noexcept { return size() == 0; }
  Finding operator[](std::size_t i) const noexcept { return View{get()}[i]; }
  detail::Iterator<View> begin() const noexcept { return {View{get()}, 0}; }
  detail::Iterator<View> end() const noexcept { return {View{get()}, size()}; }
  /// All findings as a JSON list of objects with "code", "subject" and "message".
  std::string_view json() const noexcept { return detail::lent(parb_report_json(get())); }
};

}  // namespace parbuckle

#endif  // PARBUCKLE_REPORT_HPP
