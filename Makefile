# make demo: from nothing to answers.  make test: all tests.  See README.md.
# Where there is no Swift, such as on a rented GPU, take a program that is built: make code-model GODWIT=/path/to/godwit
BUILT := .build/release/godwit
GODWIT ?= $(BUILT)

.PHONY: setup build demo test bench check fuzz peers code-model lra digits
setup:
	@Scripts/setup
	@Scripts/fetch-model

ifeq ($(GODWIT),$(BUILT))
build: setup
	@swift build -c release --product godwit
else
build:
	@test -x $(GODWIT) || { echo "make: $(GODWIT) is no program" >&2; exit 1; }
endif

demo: build
	@$(GODWIT) ask --document /usr/share/common-licenses/Apache-2.0 --questions Demo/questions.txt --compare

test: setup
	@swift test -c release

bench: build
	@$(GODWIT) bench generate gemm attention

# The byte model of Recipes/code-hyena.yaml, from nothing: text from PyPI, training (minutes on a large GPU, days on cores), export.
# A look at all of it on cores: make code-model TRAIN="--set batch=1 --set steps=4 --set examples.test=2 --set evaluate.steps=2"
code-model: build
	@test -f code.safetensors || { Scripts/fetch-corpus code.jsonl && $(GODWIT) corpus code.jsonl --out code.safetensors && rm code.jsonl; }
	@$(GODWIT) train Recipes/code-hyena.yaml $(TRAIN) $$(test -f runs/code-hyena-seed0/checkpoint.safetensors && echo --resume)
	@$(GODWIT) export runs/code-hyena-seed0/checkpoint.safetensors --out runs/code-hyena.safetensors
	@$(GODWIT) generate --model runs/code-hyena.safetensors --prompt "def mean(values):" --max-tokens 200

# Three mixers on short ListOps, and the page that compares them; some minutes on two cores. For the published sizes take a GPU
# and `Scripts/paper-runs OUT`: those, the H3 paper's tasks, long recall and language models, three seeds each, on one page.
lra: build
	@for mixer in longconv s4d attention; do $(GODWIT) train Recipes/listops-small-$$mixer.yaml --overwrite || exit 1; done
	@$(GODWIT) report runs/listops-small-*-seed0 --title "Short ListOps" --out runs/lra.html

check:
	@Scripts/check

fuzz:
	@Scripts/fuzz 60

# Other programs on the same shapes as `make bench`; lines join on op and shape. Run both on a quiet machine.
peers: setup
	@Scripts/peers/setup
	@.peers/bin/python Scripts/peers/llama_cpp.py
	@env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE .peers/bin/python Scripts/peers/openblas.py
	@.peers/bin/python Scripts/peers/fftw.py

# Handwritten digits from a PyPI package, told apart by S4D, a pixel a position, and by ViT and M2-ViT in patches, and a page that compares
# them; some three minutes on two cores.
digits: build
	@test -e digits.jsonl || Scripts/fetch-digits digits.jsonl
	@for model in s4d vit m2-vit; do $(GODWIT) train Recipes/digits-$$model.yaml --overwrite || exit 1; done
	@$(GODWIT) report runs/digits-s4d-seed0 runs/digits-vit-seed0 runs/digits-m2-vit-seed0 --title "Handwritten digits" --out runs/digits.html
