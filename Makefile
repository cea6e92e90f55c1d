# make demo: from nothing to answers.  make test: all tests.  See README.md.
GODWIT := .build/release/godwit

.PHONY: setup build demo test bench check fuzz
setup:
	@Scripts/setup
	@Scripts/fetch-model

build: setup
	@swift build -c release --product godwit

demo: build
	@$(GODWIT) ask --document /usr/share/common-licenses/Apache-2.0 --questions Demo/questions.txt --compare

test: setup
	@swift test -c release

bench: build
	@$(GODWIT) bench generate gemm attention

check:
	@Scripts/check

fuzz:
	@Scripts/fuzz 60
