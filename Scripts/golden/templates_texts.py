"""Texts for Scripts/golden/templates.py: templates with the features of public families, and snippets."""

FAMILIES = {
    "chatml": """{% for m in messages %}{% if loop.first and m['role'] != 'system' %}{{ '<|open|>system\nYou answer.<|shut|>\n' }}{% endif %}{{ '<|open|>' + m['role'] + '\n' + m['content'] + '<|shut|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|open|>assistant\n' }}{% endif %}
""",
    "brackets": """{% if messages and messages[0]['role'] == 'system' %}
{% set turns = messages[1:] %}
{% set lead = messages[0]['content'] %}
{% else %}
{% set turns = messages %}{% set lead = false %}
{% endif %}
{% for m in turns %}
{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Turns have to alternate') }}
{% endif %}
{% if loop.index0 == 0 and lead != false %}
{% set body = '<<S>>\\n' + lead + '\\n<</S>>\\n\\n' + m['content'] %}
{% else %}
{% set body = m['content'] %}
{% endif %}
{% if m['role'] == 'user' %}
{{ bos_token + '[Q] ' + body.strip() + ' [/Q]' }}
{% elif m['role'] == 'assistant' %}
{{ ' ' + body.strip() + ' ' + eos_token }}
{% endif %}
{% endfor %}
""",
    "headers, tools and date": """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}{%- set date_string = strftime_now("%d %b %Y") %}{%- else %}{%- set date_string = "26 Jul 2024" %}{%- endif %}
{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set lead = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set lead = "" %}
{%- endif %}
{{- "<|h|>system<|/h|>\n\n" }}
{{- "Date: " + date_string + "\n\n" }}
{%- if tools is not none %}
    {{- "Functions as JSON:\n\n" }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\n\n" }}
    {%- endfor %}
{%- endif %}
{{- lead }}{{- "<|e|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|h|>' + message['role'] + '<|/h|>\n\n' + message['content'] | trim + '<|e|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}{{- raise_exception("One call at a time") }}{%- endif %}
        {%- set c = message.tool_calls[0].function %}
        {{- '{"name": "' + c.name + '", "parameters": ' }}{{- c.arguments | tojson }}{{- "}<|e|>" }}
    {%- else %}
        {{- "<|h|>ipython<|/h|>\n\n" }}
        {%- if message.content is mapping or message.content is iterable %}{{- message.content | tojson }}{%- else %}{{- message.content }}{%- endif %}
        {{- "<|e|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|h|>assistant<|/h|>\n\n' }}{%- endif %}
""",
    "last user with tools": """{%- set asks = messages | selectattr("role", "equalto", "user") | list %}
{{- bos_token }}
{%- set ns = namespace(index=0) %}
{%- for m in messages %}
  {%- if m["role"] == "user" %}
    {%- if tools is not none and (m == asks[-1]) %}
      {{- "[TOOLS] [" }}
      {%- for tool in tools %}
        {%- set tool = tool.function %}
        {{- '{"type": "function", "function": {' }}
        {%- for key, val in tool.items() if key != "return" %}
          {%- if val is string %}{{- '"' + key + '": "' + val + '"' }}{%- else %}{{- '"' + key + '": ' + val|tojson }}{%- endif %}
          {%- if not loop.last %}{{- ", " }}{%- endif %}
        {%- endfor %}
        {{- "}}" }}{%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" }}{%- endif %}
      {%- endfor %}
      {{- "[/TOOLS]" }}
    {%- endif %}
    {{- "[I] " + m["content"] + "[/I]" if m.content is string else "[I]" ~ m.content ~ "[/I]" }}
  {%- elif m["role"] == "assistant" %}{{- " " + m["content"]|trim + eos_token }}
  {%- endif %}
  {%- set ns.index = ns.index + 1 %}
{%- endfor %}{{ ns.index }}
""",
    "roles renamed": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system turn') }}{% endif %}{% for m in messages %}{% if (m['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = m['role'] %}{% endif %}{{ '<turn>' + role + '\n' }}{% if m.content is string %}{{ m['content'] | trim }}{% elif m.content is iterable %}{% for part in m.content %}{% if part.type == 'image' %}<img>{% elif part.type == 'text' %}{{ part.text | trim }}{% endif %}{% endfor %}{% endif %}{{ '</turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<turn>model\n'}}{% endif %}""",
    "plain tags": """{% for m in messages %}
{% if m['role'] == 'system' and m['content'] %}
{{ '<|system|>\n' + m['content'] + '<|end|>\n' }}
{% elif m['role'] == 'user' %}
{{ '<|user|>\n' + m['content'] + '<|end|>\n' }}
{% elif m['role'] == 'assistant' %}
{% generation %}{{ '<|assistant|>\n' + m['content'] + '<|end|>\n' }}{% endgeneration %}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}
{% if not add_generation_prompt %}{{ eos_token }}{% endif %}
""",
    "tools and thinking": """{%- if tools %}
    {{- '<|o|>system\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\n\n' }}{%- endif %}
    {{- "# Tools\n<tools>" }}
    {%- for tool in tools %}{{- "\n" }}{{- tool | tojson }}{%- endfor %}
    {{- "\n</tools><|c|>\n" }}
{%- elif messages and messages[0].role == 'system' %}
    {{- '<|o|>system\n' + messages[0].content + '<|c|>\n' }}
{%- endif %}
{%- set ns = namespace(multi=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi and message.role == "user" and message.content is string and not(message.content.startswith('<r>') and message.content.endswith('</r>')) %}
        {%- set ns.multi = false %}{%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == "user" or (message.role == "system" and not loop.first) %}
        {{- '<|o|>' + message.role + '\n' + content + '<|c|>\n' }}
    {%- elif message.role == "assistant" %}
        {%- set thought = '' %}
        {%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or thought) %}
            {{- '<|o|>assistant\n<think>\n' + thought.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
        {%- else %}{{- '<|o|>assistant\n' + content }}{%- endif %}
        {%- if message.tool_calls %}
            {%- for call in message.tool_calls %}
                {%- if call.function %}{%- set call = call.function %}{%- endif %}
                {{- '\n<call>\n{"name": "' ~ call.name ~ '", "arguments": ' ~ (call.arguments if call.arguments is string else call.arguments | tojson) ~ '}\n</call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|c|>\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}{{- '<|o|>user' }}{%- endif %}
        {{- '\n<r>\n' }}{{- content }}{{- '\n</r>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}{{- '<|c|>\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|o|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}
{%- endif %}
""",
    "gathered in a namespace": """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(first=false, in_tool=false, lead='') %}{%- for m in messages %}{%- if m['role'] == 'system' %}{% set ns.lead = ns.lead ~ m['content'] %}{%- endif %}{%- endfor %}{{bos_token}}{{ns.lead}}{%- for m in messages %}{%- if m['role'] == 'user' %}{%- set ns.in_tool = false -%}{{'<U>' ~ m['content']}}{%- endif %}{%- if m['role'] == 'assistant' and m['tool_calls'] is defined %}{%- for c in m['tool_calls'] %}{%- if not ns.first %}{{'<A><calls>' + c['type'] + '<sep>' + c['function']['name'] + '\\n' + '```json' + '\\n' + (c['function']['arguments']|string) + '\\n```'}}{%- set ns.first = true -%}{%- endif %}{%- endfor %}{%- elif m['role'] == 'assistant' %}{% set content = m['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<A>' + content + '<end>'}}{%- endif %}{%- if m['role'] == 'tool' %}{%- set ns.in_tool = true -%}{{'<out>' + m['content'] + '</out>'}}{%- endif %}{%- endfor -%}{% if ns.in_tool %}{{'</outs>'}}{% endif %}{% if add_generation_prompt and not ns.in_tool %}{{'<A>'}}{% endif %}""",
    "macro over schemas": """{%- macro kind(p) %}{% if p.type == 'string' %}str{% elif p.enum is defined %}one of {{ p.enum | join('|') }}{% else %}{{ p.type | default('any') }}{% endif %}{% endmacro %}
{%- macro each(tool, depth=1) -%}
{%- set f = tool.function -%}
{{ '  ' * depth }}def {{ f.name }}({% for n, p in f.parameters.properties | items %}{{ n }}: {{ kind(p) }}{{ ', ' if not loop.last }}{% endfor %}) -> List[Dict]:
{{ '  ' * depth }}  {{ f.description | indent(4) | replace('"', "'") }}
{% endmacro -%}
{% for tool in tools or [] %}{{ each(tool, depth=2) }}{% endfor %}
{%- for m in messages -%}
[{{ m.role | upper }}]{% filter trim | title %}{{ m.content }}{% endfilter %}
{% endfor %}
{% call(x) wrap() is defined %}{% endcall %}
""".replace("{% call(x) wrap() is defined %}{% endcall %}\n", ""),
    "documents and roles": """{%- set names = {'user': 'HUMAN', 'assistant': 'BOT', 'system': 'SYS'} -%}
{%- for m in messages if m.role in names -%}
<|start|>{{ names[m.role] }}{% if loop.previtem is defined and loop.previtem.role == m.role %} again{% endif %}<|/start|>{{ m.content }}{% if loop.changed(m.role) %}!{% endif %}
{% else -%}
nothing said
{% endfor -%}
{% if documents %}{% for d in documents %}{{ loop.index }}: {{ d.title }}{% endfor %}{% endif %}
{%- if tools %}{{ tools | map(attribute='function.name') | join(', ') }}{% endif -%}
""",
}

EXPRESSIONS = r"""
s|u|n|f|big|tiny|t|no|l|d|e|z|missing|1.0|1e100|123456789.125|0.1+0.2|-0.0|1e22|12345678901234567890.0
'a' "b" 'c'|'\n\t\\\'\x41\u00e9\U0001F600\101\q'|"it's"|["it's", 'say "x"', "b'\"", '\n\x00\u200b']|(1,)|()|(1, 2)|1, 2|{}|{'a': 1, 2: (3,), none: []}
1 + 2 * 3 - 4 // 3|7 // -2|-7 % 3|7 % -3|2 ** 10|2 ** -1|2 ** 3 ** 2|-2 ** 2|7 / 2|6 / 3|1.5 // 0.4|-1.5 % 1|5.0|1_000|0x1F|0b11|0o17
'a' + 'b' ~ 1 ~ none ~ true ~ 2.0|'ab' * 3|[1] * 2 + [2]|'x' * -1|1 + true|[1] + [[2]]|(1,) + (2,)
1 < 2 < 3|1 < 3 < 2|1 == 1.0|'1' == 1|true == 1|none == false|[1] == [1.0]|'a' < 'B'|[1, 2] < [1, 3]|'é' == 'é'|1 != 2|'b' in 'abc'|'' in ''|2 in l|'a' in d|5 not in l|'x' in missing
not true and false or true|1 and 2|0 or 'x'|none or 0|not e|1 if n > 3 else 2|'x' if false|('y' if z else 'w') ~ '!'
s is string|n is number|t is number|t is integer|t is boolean|n is integer|f is float|d is mapping|l is sequence|s is iterable|no is none|missing is defined|s is not undefined|l is iterable|n is odd|n is even|n is divisibleby 7|n is eq 7|n is equalto(7)|s is sameas s|t is sameas true|1 is sameas true|t is true|z is false|n is in [7]|'a' is in 'abc'|range is callable|s is callable|n is gt 3|n is ge(7)|'ABC' is upper|'abc' is lower|n is not odd|1 is lt 2|'upper' is filter|'odd' is test|m[0].o is defined and m[0].o
s|upper
s | lower ~ 1
s.upper()|s.lower()|s.title()|s.split(', ')|s.split()|' a  b '.split()|' a  b c '.split(none, 1)|'a,b,c'.rsplit(',', 1)|'a b c '.rsplit(maxsplit=1)|'abc'.split('')|s.replace('l', 'L', 2)|'aaa'.replace('', '-')|s.startswith('He')|s.startswith(('x', 'H'))|s.endswith('ld')|s.find('o')|s.rfind('o')|s.find('zz')|s.index('W')|s.index('zz')|s.count('l')|', '.join(w)|','.join([1])|'  x '.strip()|'xxaxx'.strip('x')|'xyab'.lstrip('yx')|'ab\n'.rstrip('\n')|lines.splitlines()|'a\r\nb\n'.splitlines(true)|'x1 they\'re'.title()|'éA'.capitalize()|'5'.isdigit()|'a1'.isalpha()|'a1'.isalnum()|' '.isspace()|'abc'.partition('b')|'abcbd'.rpartition('b')|'7'.zfill(3)|'ab'.center(5)|'ab'.ljust(4) ~ '!'|'ab'.rjust(4)|'aBc'.swapcase()|'abc'.removeprefix('a')|'abc'.removesuffix('bc')|'{} and {x}'.format(1, x=2)|'{0}{1}{0}'.format('a', 'b')|'{{}}'.format()|'{}'.format()
s[0]|s[-1]|s[99]|s[1:4]|s[::-1]|s[-3:]|s[:-3:2]|u[4:]|l[0]|l[-1]|l[5]|l[1:]|l[::-1]|l[5:0:-1]|l[:]|l[::0]|d['b']|d.b|d.items|d['items']|d.items()|d.keys()|d.values()|d.get('b')|d.get('q')|d.get('q', 3)|d.a[0]|d.q|d.q.r|d['q']['r']|missing.x|missing[0]|missing()|none.x|none.x.y|m.0.k|l.0|(1, 2)[1]|range(5)[2]|range(5)[1:3]|d.get()
l.append(1)|d.update({})|d.pop('a')|l.sort()|s.__class__|s.__class__.__mro__|d.__init__.__globals__|s.nothing|range.__name__|l['append']|(1).real.__class__.x
"""
FILTERED = r"""
'  x '|trim ;; 'xax'|trim('x') ;; s|length ;; l|count ;; d|length ;; missing|length ;; 5|length ;; u|length
s|title ;; 'a-b (c) d\'e'|title ;; 'ABC d'|capitalize ;; missing|default('q') ;; missing|d ;; ''|default('q') ;; ''|default('q', true) ;; none|default('q') ;; z|default('q', boolean=true)
l|join ;; l|join(', ') ;; m|join(',', attribute='k') ;; 'abc'|join('.') ;; missing|join ;; s|replace('o', '0') ;; s|replace('l', 'L', 1) ;; 5|replace(5, 6)
l|first ;; l|last ;; e|first ;; s|first ;; l|list ;; s|list ;; d|list ;; missing|list ;; 5|list ;; l|string ;; no|string
'12'|int ;; '12.9'|int ;; 'x'|int ;; 'x'|int(5) ;; 'ff'|int(0, 16) ;; 3.99|int ;; none|int ;; missing|int ;; '1.5'|float ;; 'x'|float ;; 3|float ;; true|int
d|items|list ;; missing|items|list ;; l|items|list ;; d|dictsort ;; {'b': 1, 'A': 2}|dictsort ;; {'b': 1, 'A': 2}|dictsort(true) ;; {'b': 1, 'a': 2}|dictsort(by='value', reverse=true)
w|map('upper')|list ;; m|map(attribute='v')|list ;; m|map(attribute='o', default='-')|list ;; m|map(attribute='o')|list ;; m|map('length')|list ;; w|map('replace', 'a', 'Z')|list ;; w|map('nope')|list ;; l|map|list
[0, 1, 2]|select|list ;; l|select('odd')|list ;; l|reject('odd')|list ;; m|selectattr('o')|list ;; m|selectattr('o', 'defined')|list ;; m|rejectattr('k', 'equalto', 'x')|list ;; m|selectattr('v', '>', 1)|list ;; m|selectattr('v', 'ge', 2)|map(attribute='v')|list ;; l|select('greaterthan', 1)|list
w|sort ;; w|sort(case_sensitive=true) ;; l|sort(reverse=true) ;; m|sort(attribute='v')|map(attribute='v')|join ;; m|sort(attribute='k,v')|map(attribute='v')|join ;; [1, 'a']|sort ;; m|sort(attribute='k', reverse=true)|map(attribute='v')|join
w|unique|list ;; [1, 1.0, 2]|unique|list ;; m|unique(attribute='k')|map(attribute='v')|list ;; l|reverse|list ;; s|reverse ;; l|sum ;; m|sum(attribute='v') ;; l|sum(start=10) ;; l|min ;; w|max ;; e|max ;; m|map(attribute='v')|max
2.5|round ;; 3.5|round ;; 2.567|round(2) ;; 2.1|round(method='ceil') ;; 2.9|round(0, 'floor') ;; 7|round ;; 1234.5|round(1) ;; -5|abs ;; -5.5|abs ;; 'x'|abs ;; n|round(method='floor')
lines|indent ;; lines|indent(2) ;; lines|indent(2, true) ;; lines|indent(2, blank=true) ;; lines|indent('> ') ;; '<a & "b">'|e ;; '<b>'|safe ;; "it's"|escape ;; [1,2,3,4,5]|batch(2)|list ;; l|batch(2, 'x')|list ;; [1,2,3,4,5]|slice(3)|list ;; [1,2,3,4]|slice(3, 'x')|list ;; 'a b, c-d'|wordcount
d|tojson ;; 'é"\n\u0001</'|tojson ;; d|tojson(indent=2) ;; e|tojson(indent=2) ;; d|tojson(separators=(',', ':')) ;; {'b': 1, 'a': {}}|tojson(sort_keys=true) ;; [1.0, 1e20, none, true, (1, 2)]|tojson ;; missing|tojson ;; {1: 2, none: 3}|tojson ;; d|tojson(indent=1, separators=(', ', '='))
'%s is %d and %.2f%%'|format('a', 3, 1.005) ;; '%s' % 1 ;; '%s %s' % (1, 'b') ;; '%5s|%-5s|%05d' % ('a', 'b', 7) ;; '%s' % (1, 2) ;; '%r' % 'a' ;; '%x' % 255 ;; '%(a)s' % {'a': 1} ;; 'hello big world'|truncate(9) ;; 'hello big world'|truncate(9, true, '~', 0) ;; m|groupby('k')|length ;; s|nope ;; s is nope ;; d|attr('items') is defined
l|map('string')|join('+')|upper ~ 'x' ;; -1|abs ;; -l[0]|abs ;; +3 ;; -missing ;; missing + 1 ;; 1 + missing ;; missing ~ 1 ;; missing == missing ;; missing < 1 ;; 'a' + 1 ;; 1 / 0 ;; 5 % 0 ;; none + 1 ;; {[]: 1} ;; 1 in 5 ;; 1 in 'a' ;; 1 < 'a' ;; dict(a=1, b=2) ;; dict([('x', 1)]) ;; range(3) ;; range(5, 1, -2)|list ;; range(2, 4)|join ;; range(0) ;; range(10 ** 9) ;; range(1, 2, 0) ;; namespace(a=1).a ;; raise_exception('no') ;; strftime_now('%Y-%m-%d %H:%M:%S %B %b %A %a %y %j'[:29]) ;; strftime_now('%-d %e %I %p %%') ;; s(1) ;; loop ;; d.b() ;; lipsum is defined and false
"""
STATEMENTS = [
    "{{ [big - 2.5, -9100000000000000.0, 1e15, 9007199254740992.0, 9007199254740994.0, 1e16, 1.5e16, 3e-5, 1e-4, -1.25e300] }}",
    "{% for i in l %}{% continue %}{% else %}E{% endfor %}", "{% for i in l %}{% break %}{% else %}E{% endfor %}",
    "{% for i in l %}{{ i }},{% endfor %}", "{% for i in e %}x{% else %}none{% endfor %}", "{% for i in missing %}x{% else %}none{% endfor %}",
    "{% for i in 5 %}x{% endfor %}", "{% for i in l if i > 1 %}{{ loop.index }}{{ i }}{{ loop.length }}{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}", "{% for a, b in l %}{% endfor %}",
    "{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }}|{% endfor %}",
    "{% for i in l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }}{{ loop.previtem is defined }} {% endfor %}",
    "{% for i in w %}{{ loop.cycle('a', 'b') }}{{ loop.changed(i|lower) }}{% endfor %}", "{{ loop.index }}",
    "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for n in tree recursive %}{{ n.v }}{% if n.c %}({{ loop(n.c) }}){% endif %}{{ loop.depth }}{% endfor %}", "{% break %}",
    "{% for i in l %}{% set x = i %}{% endfor %}{{ x }}", "{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}",
    "{% set ns = namespace(x=0) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}", "{% set d.x = 1 %}", "{% set q.x = 1 %}",
    "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns['b'] }}{{ ns.c }}{{ ns.c is defined }}", "{% if t %}{% set y = 2 %}{% endif %}{{ y }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set (a, b) = (1, 2) %}{{ b }}", "{% set a, b = 1 %}", "{% set x %}a{{ n }}b{% endset %}[{{ x }}]",
    "{% set x | upper | trim %} a{{ n }}b {% endset %}[{{ x }}]", "{% set true = 1 %}", "{% set x = %}", "{% set x = 1, %}{{ x }}",
    "{% if n > 9 %}a{% elif n > 6 %}b{% elif x %}c{% else %}d{% endif %}", "{% if missing %}a{% endif %}", "{% if missing.x %}a{% endif %}",
    "{% macro f(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }};{% endmacro %}{{ f(1) }}{{ f(1, c=5) }}{{ f() }}{{ f(b=9, a=8) }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}", "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(q=2) }}", "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, a=2) }}",
    "{% macro f() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, x=3) }}", "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(4) }}",
    "{% macro f(x) %}<{{ caller() }}{{ x }}>{% endmacro %}{% call f(1) %}in{{ n }}{% endcall %}", "{% macro f() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b) f() %}{{ b }}{{ a }}{% endcall %}",
    "{% macro f() %}x{% endmacro %}{% call f() %}y{% endcall %}", "{% macro f() %}{{ s }}{% set s = 1 %}{% endmacro %}{{ f() }}{{ s }}{{ f.name }}{{ f.arguments }}",
    "{% macro f() %}{{ caller is defined }}{% endmacro %}{{ f() }}", "{% macro f(a, b=1, c) %}{% endmacro %}", "{% set y = 1 %}{% macro f() %}{{ y }}{% endmacro %}{% set y = 2 %}{{ f() }}",
    "{% filter upper %}a{{ s }}{% endfilter %}", "{% filter replace('a', 'b') | upper %}aa{% endfilter %}", "{% with x = 1, y = n %}{{ x }}{{ y }}{% endwith %}{{ x }}",
    "{% generation %}a{{ n }}{% set q = 1 %}{% endgeneration %}{{ q }}", "{% print n, s %}", "{% do l.append(1) %}", "{% nope %}", "{% if %}", "{% if t %}", "{% endif %}", "{% for %}", "{{ }}", "{{ 1 + }}",
    "{{ 1", "{% if t", "{# x", "{{ 'a }}", "{{ (1 }}", "{{ [1, 2 }}", "{{ a b }}", "{{ 1 | }}", "{{ x is }}", "{{ ] }}", "{{ {'a' 1} }}", "{{ f(a=1, 2) }}", "{{ ! }}", "{{ a.b. }}", "{{ [1,] }}{{ {'a': 1,} }}", 
    "{% raw %}{{ x }}{% if %}{% endraw %}", " {%- raw -%} {{ x }} {%- endraw -%} y", "a\n  {% raw %}\n b {% endraw %}\nc",
    "a\n  {% if t %}\n  b\n  {% endif %}\nc\n", "a\n  {%+ if t %}\n  b\n  {%- endif +%}\nc\n\n", "a {%- if t -%} b {%- endif -%} c", "a\n\n{{- n -}}\n\nb", "  {{ n }}\n  {# c #}\nx {# d -#}  y", "{# c #}\n\nx", "x  {#- c #} y",
    "{% if t %}\n\nx{% endif %}\n", "x{% if t %} {% endif %}y", "\r\na\rb\r\n", "{{ '{{' }}{{ '}}' }}{{ {'a': {'b': 1}} }}", "{{{'a': 1}.a}}", "{{- 1 }}{{ -1 }}{{+1}}", "a{{ n }}\nb{{ n }}\n\n", "\n", "", "  \n", "{{ 'a\nb' }}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}", "{% set j = joiner('; ') %}{% for i in l %}{{ j() }}{{ i }}{% endfor %}",
    "{% set g = l|map('string') %}{{ g|list }}{{ g|list }}", "{% set g = l|select %}{{ g|length }}", "{% for i in l|reverse %}{{ i }}{{ loop.length }}{% endfor %}", "{% for a in l %}{% for b in l %}{{ a * b }}{{ loop.depth }} {% endfor %}{% endfor %}",
    "{% set messages = [1] %}{{ messages }}", "{{ dict(d, c=3)|tojson }}", "{{ range(3, *[7, 2])|list }}{{ dict(**{'a': 1}) }}", "{% for x in 'héy' %}{{ x }}.{% endfor %}", "{% include 'x' %}", "{{ true and not false }}{{ True }}{{ None }}",
    "{% if not x is defined %}u{% endif %}{% if x is not defined and n %}v{% endif %}", "{{ n is defined and s is string }}", "{{ n if n is defined else 0 }}", "{{ 'a' if missing is defined else 'b' if z else 'c' }}",
]

SNIPPETS = (
    ["{{ %s }}" % e.strip() for line in EXPRESSIONS.strip().split("\n") for e in ([line] if " | " in line or line == "s|upper" else line.split("|"))]
    + ["{{ %s }}" % e.strip() for line in FILTERED.strip().split("\n") for e in line.split(" ;; ")]
    + STATEMENTS
)
# What jinja2 prints as an object's address or by chance is not compared.
SNIPPETS = [t for t in SNIPPETS if t not in ("{{ d.items }}", "{{ range.__name__ }}", "{{ l['append'] }}", "{% include 'x' %}")]
